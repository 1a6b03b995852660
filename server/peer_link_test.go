package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/shard"
)

func TestRemotePeersSendsWhereTheLeaderIs(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		errNobody := errors.New("nobody leads the shard")
		local := &fakePeers{}
		local.misbehave(func(_ shard.ID, _ []byte, done func(uint64, error)) { done(1000, nil) })
		b.remote.local = local
		b.remote.leader = func(to shard.ID) (peerAddress, bool, error) {
			switch to {
			case 0:
				return peerAddress{}, true, nil
			case 1:
				return peerAddress{}, false, errNobody
			}
			return peerAddress{NodeID: "node-b"}, false, nil
		}
		if got := <-deliver(b.remote, 0, nil); got.applied != 1000 {
			t.Errorf("here: %+v", got)
		}
		if got := <-deliver(b.remote, 1, nil); got.err != errNobody {
			t.Errorf("without a leader: %+v", got)
		}
		if got := <-deliver(b.remote, 2, []byte("four")); got != (outcome{4, nil}) {
			t.Errorf("there: %+v", got)
		}
		b.remote.leader = func(shard.ID) (peerAddress, bool, error) { return peerAddress{NodeID: "node-b"}, false, nil }
	})
}

// TestLinkTakesAnswersInAnyOrder answers the last request first, and one never.
func TestLinkTakesAnswersInAnyOrder(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		var undecided []func(uint64, error)
		b.handler.answer = func(to shard.ID, _ []byte, done func(uint64, error)) {
			undecided = append(undecided, func(uint64, error) { done(uint64(to), nil) })
		}
		var answers []<-chan outcome
		for to := range 20 {
			answers = append(answers, deliver(b.remote, shard.ID(to), nil))
			synctest.Wait()
		}
		for _, done := range slices.Backward(undecided[1:]) {
			done(0, nil)
		}
		for to, answer := range answers[1:] {
			if got := <-answer; got != (outcome{uint64(to) + 1, nil}) {
				t.Errorf("%d: %+v", to, got)
			}
		}
		begun := time.Now()
		if got := <-answers[0]; got.err != errNoAnswer || time.Since(begun) > b.port.limits.Answer+b.port.limits.KeepAlive {
			t.Errorf("after %v: %+v", time.Since(begun), got)
		}
		undecided[0](0, nil) // comes too late
	})
}

// TestLinkKeepsOneConnection: pings keep it through any silence, and a cut one is
// replaced when there is something to send.
func TestLinkKeepsOneConnection(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		dials := 0
		var conn net.Conn
		dial := b.dial
		b.dial = func(ctx context.Context, address string) (_ net.Conn, err error) {
			dials++
			conn, err = dial(ctx, address)
			return conn, err
		}
		for range 3 {
			if got := <-deliver(b.remote, 1, nil); got.err != nil {
				t.Error(got.err)
			}
			<-time.After(time.Hour)
		}
		if _, proven := b.port.connections(); dials != 1 || proven != 1 {
			t.Errorf("%d dials, %d connections", dials, proven)
		}
		conn.Close()
		<-time.After(time.Hour)
		if dials != 1 {
			t.Errorf("dialed without a reason")
		}
		if got := <-deliver(b.remote, 1, nil); got.err != nil || dials != 2 {
			t.Errorf("%v after %d dials", got.err, dials)
		}
	})
}

func TestLinkPausesLongerAfterEachFailure(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		dial := b.dial
		var at []time.Time
		b.dial = func(context.Context, string) (net.Conn, error) {
			at = append(at, time.Now())
			return nil, errors.New("refused")
		}
		for range 12 {
			if got := <-deliver(b.remote, 1, nil); !errors.Is(got.err, errPortUnreachable) {
				t.Error(got.err)
			}
		}
		longest := b.port.limits.FirstPause
		for i := range len(at) - 1 {
			pause := at[i+1].Sub(at[i])
			if pause < longest/2 || pause > longest {
				t.Errorf("pause %d is %v, not from %v to %v", i, pause, longest/2, longest)
			}
			longest = min(2*longest, b.port.limits.LongestPause)
		}
		b.dial = dial
	})
}

// TestLinkFailsWhatItCannotSend: a full queue, a frame that is too long, a lost
// connection and the end each fail a request once.
func TestLinkFailsWhatItCannotSend(t *testing.T) {
	limits := PeerLimits{Queue: 4, QueueBytes: 1 << 20}
	inPortBubble(t, limits, func(t *testing.T, b *portBench) {
		held := b.holdAll()
		var answers []<-chan outcome
		for range 4 {
			answers = append(answers, deliver(b.remote, 1, nil))
		}
		if got := <-deliver(b.remote, 1, nil); got.err != errPortQueueFull {
			t.Errorf("the fifth of four: %v", got.err)
		}
		synctest.Wait()
		b.port.mu.Lock()
		conn := b.port.mu.proven["node-a"][0]
		b.port.mu.Unlock()
		conn.out.kill(errIdle)
		for _, answer := range answers {
			if got := <-answer; !errors.Is(got.err, errPortLost) {
				t.Error(got.err)
			}
		}
		if got := <-deliver(b.remote, 1, make([]byte, 2<<20)); got.err != errPortQueueFull {
			t.Errorf("more bytes than may wait: %v", got.err)
		}
		held()
	})
}

func TestLinkRespectsTheOtherSidesLimit(t *testing.T) {
	inPortBubble(t, PeerLimits{FrameBytes: portMinBodyBytes}, func(t *testing.T, b *portBench) {
		if got := <-deliver(b.remote, 1, make([]byte, portMinBodyBytes-2)); got.err != nil {
			t.Error(got.err)
		}
		if got := <-deliver(b.remote, 1, make([]byte, portMinBodyBytes-1)); got.err != errPortTooLarge {
			t.Error(got.err)
		}
	})
}

func TestRemotePeersClose(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		held := b.holdAll()
		sent := deliver(b.remote, 1, nil)
		synctest.Wait()
		unreachable := newRemotePeers(b.remote.remotePeersOptions)
		unreachable.dialer.dial = func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		waiting := deliver(unreachable, 1, nil)
		synctest.Wait()
		pausing := newRemotePeers(b.remote.remotePeersOptions)
		pausing.dialer.dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") }
		<-deliver(pausing, 1, nil)
		queued := deliver(pausing, 1, nil)
		b.remote.close()
		unreachable.close()
		pausing.close()
		for what, answer := range map[string]<-chan outcome{
			"sent": sent, "waiting": waiting, "queued": queued, "late": deliver(b.remote, 1, nil),
		} {
			if got := <-answer; got.err == nil {
				t.Errorf("%s: %+v", what, got)
			}
		}
		held()
		b.remote = newRemotePeers(b.remote.remotePeersOptions)
	})
}

// TestRemotePeersFollowANodeThatMoves: its old address is given up.
func TestRemotePeersFollowANodeThatMoves(t *testing.T) {
	inPortBubble(t, PeerLimits{Connections: 2}, func(t *testing.T, b *portBench) {
		at := peerAddress{NodeID: "node-b", Address: "old"}
		b.remote.leader = func(shard.ID) (peerAddress, bool, error) { return at, false, nil }
		dial := b.dial
		b.dial = func(ctx context.Context, address string) (net.Conn, error) {
			if address == "new" {
				return dial(ctx, address)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		old := deliver(b.remote, 1, nil)
		synctest.Wait()
		at.Address = "new"
		begun := time.Now()
		if got := <-deliver(b.remote, 1, nil); got.err != nil {
			t.Error(got.err)
		}
		if got := <-old; got.err == nil || time.Since(begun) > 0 {
			t.Errorf("%+v after %v", got, time.Since(begun))
		}
		for i := range 2 {
			at = peerAddress{Address: fmt.Sprint(i)}
			got := <-deliver(b.remote, 1, nil)
			if tooMany := errors.Is(got.err, errPortTooManyNode); tooMany != (i == 1) {
				t.Errorf("node %d: %v", i, got.err)
			}
		}
		at = peerAddress{NodeID: "node-b", Address: "new"}
	})
}

// TestLinkUnderLoad: many callers over real sockets, each answered with its own.
func TestLinkUnderLoad(t *testing.T) {
	b := newTCPPortBench(t, PeerLimits{})
	defer b.close()
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 500 {
				n := caller*1000 + i
				if got := <-deliver(b.remote, shard.ID(caller), make([]byte, n)); got != (outcome{uint64(n), nil}) {
					t.Errorf("%d: %+v", n, got)
				}
			}
		})
	}
	callers.Wait()
	if _, proven := b.port.connections(); proven != 1 {
		t.Errorf("%d connections", proven)
	}
}
