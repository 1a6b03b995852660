package server

import (
	"fmt"
	"net"
	"testing"

	"github.com/kithgraph/kith/wire"
)

// passBench is a connection without a client, for passes over given bytes.
func passBench(tb testing.TB) (b *connBench, c *conn) {
	b = newConnBench(tb, nil)
	for i := range 30 {
		b.follow("me", numbered(fmt.Sprint("followed-", i, "-"), 20)...)
	}
	client, server := net.Pipe()
	tb.Cleanup(func() { client.Close(); server.Close() })
	c = newConn(b.Server, server)
	c.frameBytes = wire.DefaultMaxFrameBytes
	return b, c
}

// serveAll runs one pass after the other over the frames.
func (c *conn) serveAll(tb testing.TB, frames []byte) {
	c.in.b, c.in.start, c.in.end = frames, 0, len(frames)
	for len(c.in.bytes()) > 0 {
		p := c.server.passes.get()
		if stop := p.run(c); stop.err != nil {
			tb.Fatal(stop.err)
		}
		c.server.outputs.put(p.takeOutput())
		c.server.passes.put(p)
	}
}

func BenchmarkPass(b *testing.B) {
	_, c := passBench(b)
	for _, n := range []int{1, 16, 64} {
		var checks, pages []byte
		for i := range uint32(n) {
			checks = wire.AppendRequest(checks, wire.TypeCheck, i+1, &wire.CheckRequest{Me: []byte("me"), UserIDs: ids("followed-3-7")})
			pages = wire.AppendRequest(pages, wire.TypeFollowing, i+1, &wire.ListRequest{User: []byte("me"), Limit: 500})
		}
		for name, frames := range map[string][]byte{"check": checks, "page of 500": pages} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					c.serveAll(b, frames)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
			})
		}
	}
}
