package server

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
)

func TestConcurrentFollowsShareEntries(t *testing.T) {
	slow := func(b *writeBench, _ *writerOptions) {
		for _, g := range b.groups {
			g.delay = func() time.Duration { return time.Millisecond }
		}
	}
	inBubble(t, 4, slow, func(t *testing.T, b *writeBench) {
		var answers []<-chan *edgeWrite
		for i := range 1000 {
			answers = append(answers, b.begin(follow(fmt.Sprintf("f%d", i), "celebrity")))
		}
		for _, c := range answers {
			if e := <-c; results(e) != "ok" {
				t.Errorf("%s: %s", e.Me, results(e))
			}
		}
		entries := 0
		for s := range b.groups {
			entries += len(b.entriesApplied(shard.ID(s)))
		}
		if entries > 80 {
			t.Errorf("%d entries", entries)
		}
	})
}

func TestEntriesKeepTheirLimits(t *testing.T) {
	prepare := func(b *writeBench, o *writerOptions) {
		b.groups[0].delay = func() time.Duration { return time.Second }
	}
	inBubble(t, 1, prepare, func(t *testing.T, b *writeBench) {
		batch := b.writer.shards[0].batcher
		answered := 0
		submit := func(bytes int) {
			id := make([]byte, bytes)
			p := &proposal{
				command: raftfsm.Command{Kind: raftfsm.CommandRegister, UserIDs: [][]byte{id}},
				done: func(_ *raftfsm.Result, err error) {
					if answered++; err != nil {
						t.Error(err)
					}
				},
			}
			if err := batch.submit(p); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 { // the entries that may be in flight
			submit(1)
			synctest.Wait()
		}
		for range raftfsm.MaxEntryCommands + 10 {
			submit(1)
		}
		submit(raftfsm.MaxEntryBytes + 1)
		submit(raftfsm.MaxEntryBytes / 2)
		submit(raftfsm.MaxEntryBytes / 2)
		<-time.After(time.Minute)
		synctest.Wait()
		var counts []int
		for _, e := range b.entriesApplied(0) {
			counts = append(counts, len(e.commands))
		}
		if want := []int{1, 1, 1, 1, 4000, 10, 1, 1, 1}; !slices.Equal(counts, want) {
			t.Errorf("commands by entry %v, not %v", counts, want)
		}
		if answered != 4+4000+10+3 {
			t.Errorf("%d answers", answered)
		}
	})
}

func TestStampsDoNotFallWithTheClock(t *testing.T) {
	clock := time.Unix(5000, 0)
	prepare := func(_ *writeBench, o *writerOptions) { o.now = func() time.Time { return clock } }
	inBubble(t, 1, prepare, func(t *testing.T, b *writeBench) {
		for _, seconds := range []int64{5000, 4000, 5001, -7, 1 << 40} {
			clock = time.Unix(seconds, 0)
			b.do(follow("a", fmt.Sprint("b", seconds)))
		}
		var stamps []uint32
		for _, e := range b.entriesApplied(0) {
			stamps = append(stamps, e.time)
		}
		stamps = slices.Compact(stamps)
		if want := []uint32{5000, 5001, 1<<32 - 1}; !slices.Equal(stamps, want) {
			t.Errorf("stamps %d, not %d", stamps, want)
		}
	})
}

func TestIdleShardTrimsItsOutbox(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		me, far := b.userAt(0, 1), b.userAt(1, 2)
		expect(t, b.do(follow(me, far)), "ok")
		if n := b.outbox(0); n != 1 {
			t.Errorf("%d changes in the outbox", n)
		}
		entries := len(b.entriesApplied(0))
		<-time.After(60 * time.Millisecond)
		synctest.Wait()
		if n := b.outbox(0); n != 0 || len(b.entriesApplied(0)) != entries+1 {
			t.Errorf("%d changes in the outbox after %d entries", n, len(b.entriesApplied(0)))
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if len(b.entriesApplied(0)) != entries+1 {
			t.Error("an idle shard keeps writing")
		}
	})
}

func TestTrimRidesInTheNextEntry(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		me := b.userAt(0, 1)
		expect(t, b.do(follow(me, b.userAt(1, 2), b.userAt(0, 3))), "ok ok")
		expect(t, b.do(unfollow(me, b.userAt(0, 3))), "ok")
		log := b.entriesApplied(0)
		want := []raftfsm.CommandKind{raftfsm.CommandUnfollow, raftfsm.CommandTrim}
		if last := log[len(log)-1].commands; !slices.Equal(last, want) {
			t.Errorf("commands %v, not %v", last, want)
		}
	})
}

func TestRefusedTrimIsProposedAgain(t *testing.T) {
	refused := 0
	prepare := func(b *writeBench, _ *writerOptions) {
		b.groups[0].fate = func() fate {
			if len(b.entriesApplied(0)) == 2 && refused < 3 { // behind the registration and the follow
				refused++
				return isRefused
			}
			return isApplied
		}
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		expect(t, b.do(follow(b.userAt(0, 1), b.userAt(1, 2))), "ok")
		<-time.After(time.Second)
		synctest.Wait()
		if n := b.outbox(0); n != 0 || refused != 3 {
			t.Errorf("%d changes in the outbox after %d refusals", n, refused)
		}
	})
}

// An entry of unknown outcome may be applied after its proposer was told so; what
// it put into the outbox must not wait for the next write.
func TestEntryAppliedLateIsDelivered(t *testing.T) {
	late := false
	var lost []byte
	prepare := func(b *writeBench, _ *writerOptions) {
		g := b.groups[0]
		b.groups[0].fate = func() fate {
			if late {
				late = false
				return isUnknownLost
			}
			if lost != nil {
				g.apply(lost)
				lost = nil
			}
			return isApplied
		}
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me, far, farToo := b.userAt(0, 1), b.userAt(1, 2), b.userAt(1, 3)
		expect(t, b.do(follow(me, far)), "ok")
		expect(t, b.do(follow(farToo, far)), "ok")
		command := raftfsm.Command{Kind: raftfsm.CommandFollow, Me: b.groups[0].graph.Lookup([]byte(me))}
		command.Targets = append(command.Targets, b.groups[1].graph.Lookup([]byte(farToo)))
		<-time.After(time.Second)
		synctest.Wait()
		lost = raftfsm.AppendCommand(raftfsm.AppendEntryHeader(nil, 7), &command)
		late = true
		expect(t, b.do(follow(me, farToo)), "failed: timeout")
		<-time.After(time.Second)
		synctest.Wait()
		if b.sees(farToo, me) != 1 {
			t.Error("a change that was applied late was not delivered")
		}
	})
}
