//go:build !race

package client

import (
	"testing"

	"github.com/kithgraph/kith/wire"
)

// Under the race detector a sync.Pool forgets at random, hence the build tag.
func TestAllocationsOfACall(t *testing.T) {
	s := newFakeServer(t, nil)
	buf := []byte(nil)
	s.handle = func(c *fakeConn, h wire.Header, _ []byte) {
		buf = append(wire.BeginReply(buf[:0], wire.OK, false, h.ID), 0, 1, 3)
		c.send(wire.EndFrame(buf, 0))
	}
	c := dialFake(t, s, Options{Addr: s.listen("tcp", "127.0.0.1:0")})
	ctx := within(t)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := c.Check(ctx, "me", "bob"); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations a check", n)
	}
}
