package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestCloseAnswersWhatWasAccepted(t *testing.T) {
	slow := func(b *writeBench, _ *writerOptions) {
		for _, g := range b.groups {
			g.delay = func() time.Duration { return 100 * time.Millisecond }
		}
	}
	inBubble(t, 4, slow, func(t *testing.T, b *writeBench) {
		var answers []<-chan *edgeWrite
		for i := range 50 {
			answers = append(answers, b.begin(follow(b.userAt(0, i), b.userAt(1, i+100))))
		}
		b.close(context.Background())
		for _, c := range answers {
			expect(t, <-c, "ok")
		}
		expect(t, b.do(follow("a", "b")), "failed: unavailable")
	})
}

func TestCloseFailsTheRestWhenItsTimeIsOver(t *testing.T) {
	var release chan struct{}
	prepare := func(b *writeBench, o *writerOptions) {
		stuckPeers(b, o)
		o.limits.EntriesInFlight = 1
		release = stuckGroup(b, 1)
	}
	inBubble(t, 4, prepare, func(t *testing.T, b *writeBench) {
		waiting := b.begin(follow(b.userAt(0, 1), b.userAt(2, 2)))
		inFlight := b.begin(follow(b.userAt(1, 3), b.userAt(1, 4)))
		synctest.Wait()
		queued := b.begin(follow(b.userAt(1, 5), b.userAt(1, 4)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		b.writer.close(ctx)
		if d := time.Since(start); d != time.Second {
			t.Errorf("close took %v", d)
		}
		expect(t, <-waiting, "ok pending")
		expect(t, <-inFlight, "failed: timeout")
		expect(t, <-queued, "failed: unavailable")
		close(release)
		b.closeGroups()
	})
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b := newWriteBench(t, 4, nil)
	for i := range 100 {
		b.begin(follow(modelUser(i), modelUser(i+1), modelUser(i+2)))
	}
	b.close(t.Context())
	goleak.VerifyNone(t, before)
}
