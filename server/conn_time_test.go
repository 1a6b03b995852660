package server

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/wire"
)

// bubbleListener is a network within a bubble, whose clock is a fake one.
type bubbleListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *bubbleListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *bubbleListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *bubbleListener) Addr() net.Addr { return &net.UnixAddr{Name: "bubble", Net: "unix"} }

func (l *bubbleListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// withFakeClock runs a test against a server with the default limits, under a clock
// that moves when all wait.
func withFakeClock(t *testing.T, test func(t *testing.T, b *connBench)) {
	t.Helper()
	withFakeClockAnd(t, nil, test)
}

// withFakeClockAnd is withFakeClock with other options.
func withFakeClockAnd(t *testing.T, tweak func(o *Options), test func(t *testing.T, b *connBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &bubbleListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		test(t, startConnBench(t, l, l.dial, tweak))
	})
}

// lasting gives the client a day for the rest of the test.
func (c *testClient) lasting() *testClient {
	_ = c.nc.SetDeadline(time.Now().Add(24 * time.Hour))
	return c
}

// wantAfter makes sure that the time since start is within a second above d.
func wantAfter(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	if passed := time.Since(start); passed < d || passed > d+time.Second {
		t.Errorf("it took %v, not %v", passed, d)
	}
}

func TestHelloHasADeadline(t *testing.T) {
	for _, sent := range []string{"", "KI", "KITH", "KITH\x11\x00\x00\x01\x01\x00\x00\x00\x01\x01"} {
		withFakeClock(t, func(t *testing.T, b *connBench) {
			start := time.Now()
			c := b.dial().lasting()
			if sent != "" {
				c.send([]byte(sent))
			}
			c.wantClosed()
			wantAfter(t, start, 2*time.Second)
		})
	}
}

func TestSilentConnectionIsClosed(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		start := time.Now()
		c.wantError(wire.ConnectionID, wire.Unavailable, "silent for too long")
		wantAfter(t, start, 5*time.Minute)
		c.wantClosed()
	})
}

func TestPingKeepsAConnectionOpen(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		for range 20 {
			<-time.After(5*time.Minute - time.Second)
			c.alive()
		}
		start := time.Now()
		c.wantError(wire.ConnectionID, wire.Unavailable, "silent for too long")
		wantAfter(t, start, 5*time.Minute)
	})
}

func TestSlowFrameIsCutOff(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		c.alive()
		<-time.After(time.Minute)
		start := time.Now()
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for _, one := range frame(wire.TypePing, 3, make([]byte, 1000)...) {
				if _, err := c.nc.Write([]byte{one}); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		})
		c.wantError(wire.ConnectionID, wire.Unavailable, "took too long")
		wantAfter(t, start, 10*time.Second)
		c.wantClosed()
		trickle.Wait()
	})
}

// TestManySlowFramesAreServed sends frames whose bytes come slowly, but each in time.
func TestManySlowFramesAreServed(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		for range 5 {
			for _, one := range frame(wire.TypePing, 3) {
				c.send([]byte{one})
				<-time.After(time.Second)
			}
			c.want(3, wire.OK, &wire.PingReply{})
		}
	})
}

func TestWaitingForAnAnswerIsNotSilence(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		b.follow("alice", "bob")
		c := b.connect().lasting()
		<-time.After(time.Minute)
		c.request(wire.TypeExport, 2, &wire.ExportRequest{})
		<-time.After(5*time.Minute - time.Second) // the connection is silent for 6 minutes, the export for less
		c.request(wire.TypeCredit, 2, &wire.Credit{Credits: 9})
		var frames int
		for more := true; more; frames++ {
			h, _, err := c.receive()
			if err != nil || h.Code() != wire.OK {
				t.Fatalf("%+v %v", h, err)
			}
			more = h.More()
		}
	})
}

// TestExportWithoutCreditEnds covers clients that hold a place among the exports
// of the node and do nothing with it, but keep their connection open.
func TestExportWithoutCreditEnds(t *testing.T) {
	one := func(o *Options) { o.Limits.AllExports = 1 }
	withFakeClockAnd(t, one, func(t *testing.T, b *connBench) {
		b.follow("alice", "bob")
		idle, other := b.connect().lasting(), b.connect().lasting()
		start := time.Now()
		idle.request(wire.TypeExport, 3, &wire.ExportRequest{})
		for range 2 {
			<-time.After(2 * time.Minute)
			idle.request(wire.TypeCredit, 3, &wire.Credit{})
			other.alive()
		}
		idle.wantError(3, wire.Unavailable, "without credit")
		wantAfter(t, start, 5*time.Minute)
		if rows, _ := other.exported(3, wire.ExportRequest{Credits: 8}); len(rows) != 1 {
			t.Errorf("rows: %v", rows)
		}
	})
}

// TestSlowReaderIsServed takes one long answer at 1,000 bytes a second.
func TestSlowReaderIsServed(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		const page = 500
		for i := range page / wire.MaxFollowIDs {
			b.follow("me", numbered(fmt.Sprintf("%0110d-", i), wire.MaxFollowIDs)...)
		}
		c := b.connect().lasting()
		c.nc = slowConn{c.nc}
		start := time.Now()
		var reply wire.ListReply
		c.ask(wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("me"), Limit: page}, &reply)
		if d := time.Since(start); len(reply.Items) != page || d < 50*time.Second {
			t.Errorf("%d items in %v", len(reply.Items), d)
		}
	})
}

// slowConn reads 1,000 bytes a second.
type slowConn struct{ net.Conn }

func (c slowConn) Read(b []byte) (int, error) {
	<-time.After(time.Second)
	return c.Conn.Read(b[:min(len(b), 1000)])
}

func TestWriteThatIsNotDecidedTimesOut(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		release := b.holdWrites()
		defer release()
		c := b.connect().lasting()
		start := time.Now()
		c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")})
		c.want(2, wire.Timeout, nil)
		wantAfter(t, start, 10*time.Second+10*time.Second/deadlineTicks)
	})
}

func TestClientThatStopsReadingIsCutOff(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		start := time.Now()
		c.request(wire.TypePing, 3, &wire.Ping{})
		synctest.Wait() // the answer is being written, and nobody takes it
		eventually(t, "the connection is forgotten", func() bool { return b.clients.count() == 0 })
		if d := time.Since(start); d < 30*time.Second || d > 38*time.Second {
			t.Errorf("cut off after %v", d)
		}
	})
}

// TestUnreadAnswersStopReading floods with writes, whose answers come late, and
// reads none: when enough of them wait the server takes no more requests.
func TestUnreadAnswersStopReading(t *testing.T) {
	small := func(o *Options) { o.Limits.OutputBytes, o.Limits.InFlight = 1<<10, 16 }
	withFakeClockAnd(t, small, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		var sent atomic.Int64
		var flood sync.WaitGroup
		flood.Go(func() {
			request := wire.AppendRequest(nil, wire.TypeFollow, 3, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")})
			for sent.Load() < 5000 {
				if _, err := c.nc.Write(request); err != nil {
					return
				}
				sent.Add(1)
			}
		})
		synctest.Wait()
		if n := sent.Load(); n < 50 || n > 1000 {
			t.Errorf("%d requests were taken", n)
		}
		c.nc.Close()
		flood.Wait()
	})
}

func TestShutdownDoesNotWaitForSilentClients(t *testing.T) {
	withFakeClock(t, func(t *testing.T, b *connBench) {
		c := b.connect().lasting()
		half := b.connect().lasting()
		half.send([]byte{1, 0})
		stranger := b.dial().lasting()
		start := time.Now()
		var readers sync.WaitGroup
		for _, one := range []*testClient{c, half, stranger} {
			readers.Go(func() { one.drain() })
		}
		b.stop()
		readers.Wait()
		if d := time.Since(start); d != 0 {
			t.Errorf("the shutdown took %v", d)
		}
	})
}
