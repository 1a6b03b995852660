package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/shard"
)

// delivery is one call of peers.Deliver.
type delivery struct {
	at      time.Time
	to      shard.ID
	message peerDeliver
	done    func(uint64, error)
}

// recordPeers notes every delivery and hands it to answer.
func recordPeers(t *testing.T, all *[]delivery, answer func(b *writeBench, payload []byte, d delivery)) func(*writeBench, *writerOptions) {
	return func(b *writeBench, _ *writerOptions) {
		b.peers.misbehave(func(to shard.ID, payload []byte, done func(uint64, error)) {
			d := delivery{at: time.Now(), to: to, done: done}
			if err := d.message.decode(payload); err != nil {
				t.Error(err)
			}
			*all = append(*all, d)
			answer(b, payload, d)
		})
	}
}

func TestCourierPausesLongerAfterEachFailure(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(_ *writeBench, _ []byte, d delivery) { d.done(0, errors.New("unreachable")) })
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		e := follow(b.userAt(0, 1), b.userAt(1, 2))
		expect(t, b.do(e), "ok pending")
		synctest.Wait()
		var pauses []time.Duration
		for i := range len(all) - 1 {
			pauses = append(pauses, all[i+1].at.Sub(all[i].at))
		}
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			if i >= len(pauses) || pauses[i] != want*time.Millisecond {
				t.Fatalf("pauses %v", pauses)
			}
		}
	})
}

func TestCourierSendsAgainWithoutAnswer(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(b *writeBench, payload []byte, d delivery) {
		if len(all) > 1 {
			b.writer.handleDeliver(d.to, payload, d.done)
		}
	})
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me, far := b.userAt(0, 1), b.userAt(1, 2)
		e := follow(me, far)
		e.NoWait = true
		b.do(e)
		<-time.After(6 * time.Second)
		synctest.Wait()
		if b.sees(far, me) != 1 || len(all) != 2 {
			t.Errorf("%d deliveries", len(all))
		}
		all[0].done(0, nil) // an answer that comes too late changes nothing
		expect(t, b.do(follow(me, far, b.userAt(1, 3))), "ok= ok")
	})
}

func TestCourierIgnoresTheAnswerOfAnEarlierDelivery(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(*writeBench, []byte, delivery) {})
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		e := follow(b.userAt(0, 1), b.userAt(1, 2))
		e.NoWait = true
		b.do(e)
		<-time.After(6 * time.Second) // the first delivery was given up, the second is under way
		synctest.Wait()
		all[0].done(0, errors.New("too late"))
		<-time.After(time.Second)
		synctest.Wait()
		if len(all) != 2 {
			t.Errorf("%d deliveries", len(all))
		}
	})
}

func TestCourierGoesBackAfterAGap(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(b *writeBench, payload []byte, d delivery) {
		switch len(all) {
		case 1:
			d.done(1, nil) // claims to have what it has not
		default:
			b.writer.handleDeliver(d.to, payload, d.done)
		}
	})
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me, far, other := b.userAt(0, 1), b.userAt(1, 2), b.userAt(1, 3)
		expect(t, b.do(follow(me, far, other)), "ok ok")
		synctest.Wait()
		if b.sees(far, me) != 1 || b.sees(other, me) != 1 {
			t.Error("items behind the gap are missing")
		}
		if len(all) != 3 || all[1].message.First != 2 || all[2].message.First != 1 || len(all[2].message.Items) != 2 {
			t.Errorf("deliveries %v", all)
		}
	})
}

func TestCourierDistrustsMarksOutsideOfTheOutbox(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(b *writeBench, payload []byte, d delivery) {
		if len(all) == 1 {
			d.done(1000, nil)
			return
		}
		b.writer.handleDeliver(d.to, payload, d.done)
	})
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		me, far := b.userAt(0, 1), b.userAt(1, 2)
		expect(t, b.do(follow(me, far)), "ok")
		synctest.Wait()
		if b.sees(far, me) != 1 || len(all) != 2 || all[1].message.First != 1 {
			t.Errorf("deliveries %v", all)
		}
	})
}

func TestCourierBoundsABatch(t *testing.T) {
	var all []delivery
	prepare := recordPeers(t, &all, func(b *writeBench, payload []byte, d delivery) {
		if len(all) > 1 {
			b.writer.handleDeliver(d.to, payload, d.done)
		}
	})
	inBubble(t, 2, prepare, func(t *testing.T, b *writeBench) {
		const follows = maxPeerItems + 100
		far := b.userAt(1, 1)
		answers := make([]<-chan *edgeWrite, follows+1)
		for i := range answers {
			answers[i] = b.begin(follow(b.userAt(0, i+2), far))
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if mark := b.groups[1].graph.InboxMark(0); mark != follows+1 {
			t.Errorf("%d items applied", mark)
		}
		largest := 0
		for _, d := range all {
			largest = max(largest, len(d.message.Items))
		}
		if largest != maxPeerItems {
			t.Errorf("the largest delivery has %d items", largest)
		}
	})
}

func TestCourierResumesAfterARestart(t *testing.T) {
	inBubble(t, 4, stuckPeers, func(t *testing.T, b *writeBench) {
		me, far := b.userAt(0, 1), b.userAt(1, 2)
		expect(t, b.do(follow(me, far)), "ok pending")
		b.writer.close(t.Context())
		b.writer.wait()
		o := b.writer.writerOptions
		o.peers = nil
		b.writer = newWriter(o)
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
		if b.sees(far, me) != 1 {
			t.Error("what the state kept was not delivered")
		}
	})
}
