package main

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/server"
)

// startNode serves an empty graph in which a user may follow 5 others. Its clock
// stands at 1702262118 for the first command and a second later for each further;
// its secrets, and so its cursors, are always the same.
func startNode(t *testing.T) shell {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clock := &clock{}
	clock.seconds.Store(1_702_262_117)
	s, err := server.Start(context.Background(), server.Options{
		Listener: clockListener{l, clock}, FS: vfs.NewMem(), Dir: "data", FollowingLimit: 5, Rand: rand.NewChaCha8([32]byte{}), Version: "test",
		Now: clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return shell{addr: l.Addr().String(), tick: func() { clock.seconds.Add(1) }}
}

// clock is one that a test sets.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds.Load(), 0) }

// clockListener gives connections whose deadlines are by a clock, not by the
// time of day.
type clockListener struct {
	net.Listener
	clock *clock
}

func (l clockListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return clockConn{nc, l.clock}, err
}

type clockConn struct {
	net.Conn
	clock *clock
}

func (c clockConn) real(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Now().Add(t.Sub(c.clock.now()))
}

func (c clockConn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(c.real(t)) }
func (c clockConn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(c.real(t)) }
func (c clockConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.real(t)) }
