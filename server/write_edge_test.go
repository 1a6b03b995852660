package server

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// inBubble runs a test of a writer under a fake clock.
func inBubble(t *testing.T, shards int, prepare func(*writeBench, *writerOptions), test func(*testing.T, *writeBench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newWriteBench(t, shards, prepare)
		test(t, b)
	})
}

func expect(t *testing.T, e *edgeWrite, want string) {
	t.Helper()
	if got := results(e); got != want {
		t.Errorf("%s %s: %q, want %q (%s)", e.Me, bytes.Join(e.Targets, []byte(" ")), got, want, e.Message)
	}
}

func TestWriteResults(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		for _, step := range []struct {
			write *edgeWrite
			want  string
		}{
			{unfollow("alice", "bob"), "ok="},
			{follow("alice", "bob"), "ok"},
			{follow("alice", "bob"), "ok="},
			{follow("alice", "carol", "carol", "alice", "", "a\nb", "dave", "bob"), "ok ok= self_follow bad_request bad_request ok ok="},
			{follow("alice", "alice"), "self_follow"},
			{follow("alice", strings.Repeat("x", shard.MaxUserIDBytes+1)), "bad_request"},
			{unfollow("alice", "nobody", "bob", "dave", "bob"), "ok= ok ok ok="},
			{unfollow("nobody", "bob", "alice"), "ok= ok="},
			{unfollow("alice", "alice"), "ok="},
			{follow("", "bob"), "failed: bad_request"},
			{follow("a\xff", "bob"), "failed: bad_request"},
			{follow("alice"), "failed: bad_request"},
			{follow("alice", make([]string, maxEdgeTargets+1)...), "failed: bad_request"},
			{&edgeWrite{Me: []byte("a"), Targets: [][]byte{[]byte("b")}, Times: []uint32{1, 2}}, "failed: bad_request"},
		} {
			expect(t, b.do(step.write), step.want)
		}
		for _, user := range []string{"nobody", "", "a\nb"} {
			group := b.groups[b.layout.Home([]byte(user))]
			if group.graph.Lookup([]byte(user)) != shard.NoUID {
				t.Errorf("%q was registered", user)
			}
		}
	})
}

func TestFollowIsVisibleOnBothSidesWhenAnswered(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		for from := range shard.ID(4) {
			for to := range shard.ID(4) {
				me, target := b.userAt(from, 1), b.userAt(to, 2)
				expect(t, b.do(follow(me, target)), "ok")
				if b.sees(me, target) != 2 || b.sees(target, me) != 1 {
					t.Errorf("shards %d to %d: seen as %d and %d", from, to, b.sees(me, target), b.sees(target, me))
				}
				expect(t, b.do(unfollow(me, target)), "ok")
				if b.sees(me, target) != 0 || b.sees(target, me) != 0 {
					t.Errorf("shards %d to %d: still there", from, to)
				}
			}
		}
	})
}

func TestCapIsDecidedInOrderOfTheBatch(t *testing.T) {
	limit := func(b *writeBench, _ *writerOptions) {
		for _, g := range b.groups {
			g.graph.SetFollowingLimit(2)
		}
	}
	inBubble(t, 4, limit, func(t *testing.T, b *writeBench) {
		expect(t, b.do(follow("a", "b", "c", "d", "b")), "ok ok following_full ok=")
	})
}

func TestImportedTimesAreKept(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		me, near, far := b.userAt(1, 1), b.userAt(1, 2), b.userAt(2, 3)
		e := follow(me, near, far, b.userAt(3, 4))
		e.Times = []uint32{1000, 2000, 0}
		now := uint32(time.Now().Unix())
		expect(t, b.do(e), "ok ok ok")
		graph := b.groups[1].graph
		page := graph.Page(engine.Following, graph.Lookup([]byte(me)), engine.Newest, 10, nil)
		if len(page) != 3 || page[2].Time != 1000 || page[1].Time != 2000 || page[0].Time != now {
			t.Errorf("follows %v at %d", page, now)
		}
		graph = b.groups[2].graph
		page = graph.Page(engine.Followers, graph.Lookup([]byte(far)), engine.Newest, 10, nil)
		if len(page) != 1 || page[0].Time != 2000 {
			t.Errorf("followers %v", page)
		}
	})
}

// stuckPeers never answers, as if the destination could not be reached.
func stuckPeers(b *writeBench, _ *writerOptions) {
	b.peers.misbehave(func(shard.ID, []byte, func(uint64, error)) {})
}

func TestPatienceEndsInPendingAndTheCourierFinishes(t *testing.T) {
	inBubble(t, 4, stuckPeers, func(t *testing.T, b *writeBench) {
		me, near, far := b.userAt(0, 1), b.userAt(0, 2), b.userAt(1, 3)
		expect(t, b.do(follow(me, near)), "ok")
		start := time.Now()
		expect(t, b.do(follow(me, near, far)), "ok= ok pending")
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("pending after %v", d)
		}
		if b.sees(me, far) != 2 || b.sees(far, me) != 0 {
			t.Error("the destination was reached")
		}
		if s := b.writer.status(0); s.waiting != 0 || b.outbox(0) != 1 {
			t.Errorf("status %+v, %d changes in the outbox", s, b.outbox(0))
		}
		b.peers.heal()
		expect(t, b.do(follow(me, far)), "ok=")
		if b.sees(far, me) != 1 {
			t.Error("answered before it was visible")
		}
	})
}

func TestPatienceMayBeLongerThanTheDeadline(t *testing.T) {
	prepare := func(b *writeBench, o *writerOptions) {
		stuckPeers(b, o)
		o.limits.Commit, o.limits.Visibility = time.Second, 4*time.Second
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		start := time.Now()
		expect(t, b.do(follow(b.userAt(0, 1), b.userAt(1, 2))), "ok pending")
		if d := time.Since(start); d < 4*time.Second || d > 5*time.Second {
			t.Errorf("pending after %v", d)
		}
	})
}

func TestNoWaitIsAnsweredWhenCommitted(t *testing.T) {
	inBubble(t, 4, stuckPeers, func(t *testing.T, b *writeBench) {
		e := follow(b.userAt(0, 1), b.userAt(1, 2))
		e.NoWait = true
		start := time.Now()
		expect(t, b.do(e), "ok")
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
	})
}

func TestTooManyWaitersArePending(t *testing.T) {
	prepare := func(b *writeBench, o *writerOptions) {
		stuckPeers(b, o)
		o.limits.WaitingWrites = 2
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me := b.userAt(0, 1)
		first, second := b.begin(follow(me, b.userAt(1, 2))), b.begin(follow(me, b.userAt(2, 3)))
		synctest.Wait()
		if s := b.writer.status(0); s != (shardWriteStatus{waiting: 2}) {
			t.Errorf("status %+v", s)
		}
		start := time.Now()
		expect(t, b.do(follow(me, b.userAt(1, 4))), "ok pending")
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		expect(t, <-first, "ok pending")
		expect(t, <-second, "ok pending")
	})
}

// stuckGroup makes the entries of a shard wait until the returned channel is closed.
func stuckGroup(b *writeBench, s shard.ID) (release chan struct{}) {
	release = make(chan struct{})
	b.groups[s].delay = func() time.Duration { <-release; return 0 }
	return release
}

func TestDeadlineEndsInTimeout(t *testing.T) {
	var release chan struct{}
	stuck := func(b *writeBench, o *writerOptions) {
		release = stuckGroup(b, 0)
		o.limits.EntriesInFlight = 1
	}
	inBubble(t, 4, stuck, func(t *testing.T, b *writeBench) {
		start := time.Now()
		register := b.begin(follow(b.userAt(0, 1), b.userAt(1, 2)))
		synctest.Wait()
		queued := b.begin(follow(b.userAt(0, 3), b.userAt(1, 2)))
		expect(t, <-register, "failed: timeout")
		expect(t, <-queued, "failed: timeout")
		if d := time.Since(start); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("timeout after %v", d)
		}
		close(release)
		synctest.Wait()
		if n := b.groups[0].graph.Users(); n != 1 {
			t.Errorf("%d users: what was given up in the queue was proposed", n)
		}
	})
}

func TestFullQueueRefuses(t *testing.T) {
	for name, limit := range map[string]func(*writerOptions){
		"commands": func(o *writerOptions) { o.limits.QueueCommands = 10 },
		"bytes":    func(o *writerOptions) { o.limits.QueueBytes = 600 },
	} {
		t.Run(name, func(t *testing.T) {
			var release chan struct{}
			stuck := func(b *writeBench, o *writerOptions) {
				release = stuckGroup(b, 0)
				limit(o)
			}
			inBubble(t, 4, stuck, func(t *testing.T, b *writeBench) {
				var answers []<-chan *edgeWrite
				for i := range 100 {
					answers = append(answers, b.begin(follow(b.userAt(0, i), b.userAt(0, 1000))))
					synctest.Wait()
				}
				if s := b.writer.status(0); s.inFlight != 4 || s.waiting != 0 || s.queued == 0 || s.queued > 10 {
					t.Errorf("status %+v", s)
				}
				close(release)
				byCode := map[wire.Code]int{}
				for _, c := range answers {
					byCode[(<-c).Code]++
				}
				if byCode[wire.OK] < 5 || byCode[wire.Unavailable] < 80 || len(byCode) != 2 {
					t.Errorf("answers %v", byCode)
				}
			})
		})
	}
}

func TestFullOutboxRefusesItsDestinationOnly(t *testing.T) {
	prepare := func(b *writeBench, o *writerOptions) {
		stuckPeers(b, o)
		o.limits.OutboxItems = 1
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me := b.userAt(0, 1)
		expect(t, b.do(follow(me, b.userAt(1, 2))), "ok pending")
		expect(t, b.do(follow(me, b.userAt(1, 3), b.userAt(0, 4))), "unavailable ok")
		expect(t, b.do(follow(me, b.userAt(1, 3))), "unavailable")
	})
}

func TestShardThatIsNotReadyRefuses(t *testing.T) {
	deposed := func(b *writeBench, _ *writerOptions) { b.groups[1].depose() }
	inBubble(t, 4, deposed, func(t *testing.T, b *writeBench) {
		here, there := b.userAt(0, 1), b.userAt(1, 2)
		expect(t, b.do(follow(there, here)), "failed: unavailable")
		expect(t, b.do(unfollow(there, here)), "failed: unavailable")
		expect(t, b.do(follow(here, there, b.userAt(2, 3))), "unavailable ok")
		expect(t, b.do(unfollow(here, there, b.userAt(2, 3))), "unavailable ok")
		b.groups[1].elect()
		b.writer.onLeader(1, true)
		expect(t, b.do(follow(there, here)), "ok")
		expect(t, b.do(follow(here, there)), "ok")
	})
}

// catchingUp is a group of a replica that lags. After the next look-up it catches
// up and is elected.
type catchingUp struct {
	*fakeGroup
	catchUp func() // nil: it has
}

func (g *catchingUp) RUnlock() {
	g.fakeGroup.RUnlock()
	if catchUp := g.catchUp; catchUp != nil {
		g.catchUp = nil
		catchUp()
	}
}

// lag makes a shard's group a replica to which the log has not come yet.
func (b *writeBench) lag(o *writerOptions, s shard.ID, log ...raftfsm.Command) {
	g := b.groups[s]
	g.depose()
	entry := raftfsm.AppendEntryHeader(nil, 7)
	for i := range log {
		entry = raftfsm.AppendCommand(entry, &log[i])
	}
	o.groups[s] = &catchingUp{g, func() {
		g.apply(entry)
		g.elect()
		b.writer.onLeader(s, true)
	}}
}

// What a replica did not know says nothing when it has become the leader.
func TestUnfollowIsNotJudgedByALookUpBeforeTheElection(t *testing.T) {
	behind := func(b *writeBench, o *writerOptions) {
		b.lag(o, 0, raftfsm.Command{Kind: raftfsm.CommandRegister, UserIDs: ids("me", "y")},
			raftfsm.Command{Kind: raftfsm.CommandFollow, Me: 0, Targets: []shard.UID{1}})
	}
	inBubble(t, 1, behind, func(t *testing.T, b *writeBench) {
		expect(t, b.do(unfollow("me", "y")), "failed: unavailable")
		expect(t, b.do(unfollow("me", "y", "nobody")), "ok ok=")
	})
	targetBehind := func(b *writeBench, o *writerOptions) {
		b.lag(o, 1, raftfsm.Command{Kind: raftfsm.CommandRegister, UserIDs: ids(b.userAt(1, 3))})
	}
	inBubble(t, 2, targetBehind, func(t *testing.T, b *writeBench) {
		me, near, far := b.userAt(0, 1), b.userAt(0, 2), b.userAt(1, 3)
		expect(t, b.do(follow(me, near)), "ok")
		expect(t, b.do(unfollow(me, far, near)), "unavailable ok")
		expect(t, b.do(unfollow(me, far, near)), "ok= ok=")
	})
}

func TestLossOfLeadership(t *testing.T) {
	var release chan struct{}
	stuck := false
	prepare := func(b *writeBench, o *writerOptions) {
		stuckPeers(b, o)
		o.limits.EntriesInFlight = 1
		release = make(chan struct{})
		b.groups[0].delay = func() time.Duration {
			if stuck {
				<-release
			}
			return 0
		}
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me, far := b.userAt(0, 1), b.userAt(1, 2)
		waiting := b.begin(follow(me, far))
		synctest.Wait()
		stuck = true
		inFlight := b.begin(unfollow(me, far))
		synctest.Wait()
		queued := b.begin(follow(me, far))
		synctest.Wait()
		start := time.Now()
		b.groups[0].depose()
		b.writer.onLeader(0, false)
		expect(t, <-waiting, "ok pending")
		expect(t, <-queued, "failed: unavailable")
		close(release)
		expect(t, <-inFlight, "failed: timeout")
		expect(t, b.do(follow(me, far)), "failed: unavailable")
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		b.peers.heal()
		b.groups[0].elect()
		b.writer.onLeader(0, true)
		expect(t, b.do(follow(me, far)), "ok")
		if b.sees(far, me) != 1 {
			t.Error("the next leadership did not deliver")
		}
	})
}
