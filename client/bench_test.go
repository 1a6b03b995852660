package client

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kithgraph/kith/wire"
)

// benchAnswer answers checks without decoding or allocating.
func benchAnswer(c *fakeConn, h wire.Header, _ []byte) {
	c.reply(h.ID, wire.OK, &wire.CheckReply{Results: []wire.CheckResult{3}})
}

func BenchmarkCheck(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := newFakeServer(b, benchAnswer)
			c := dialFake(b, s, Options{Addr: s.listen("tcp", "127.0.0.1:0")})
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			benchCalls(b, s, callers, func() error {
				_, err := c.Check(ctx, "some-user-of-20-bytes", "other-user-20-bytes-")
				return err
			})
		})
	}
}

// A context without a deadline costs a timer.
func BenchmarkCheckDefaultTimeout(b *testing.B) {
	s := newFakeServer(b, benchAnswer)
	c := dialFake(b, s, Options{Addr: s.listen("tcp", "127.0.0.1:0")})
	benchCalls(b, s, 64, func() error {
		_, err := c.Check(context.Background(), "some-user-of-20-bytes", "other-user-20-bytes-")
		return err
	})
}

func benchCalls(b *testing.B, s *fakeServer, callers int, call func() error) {
	b.ReportAllocs()
	s.requests.Store(0)
	s.reads.Store(0)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := i; n < b.N; n += callers {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(s.requests.Load())/float64(max(1, s.reads.Load())), "requests/read")
}
