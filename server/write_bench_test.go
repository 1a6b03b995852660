package server

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/kithgraph/kith/wire"
)

// BenchmarkWrites is the cost of the write side and the graph, without Raft, a
// disk and the wire: follows by known users of known users, spread over 4 shards
// (so three of four cross), answered when visible on both sides.
func BenchmarkWrites(b *testing.B) {
	for _, clients := range []int{1, 64, 1024} {
		for _, targets := range []int{1, 20} {
			b.Run(fmt.Sprintf("clients=%d/targets=%d", clients, targets), func(b *testing.B) {
				benchmarkWrites(b, clients, targets)
			})
		}
	}
}

func benchmarkWrites(b *testing.B, clients, targets int) {
	const users = 1 << 14
	bench := newWriteBench(b, 4, nil)
	names := make([][]byte, users)
	for i := range names {
		names[i] = fmt.Append(nil, "user", i)
	}
	for i := range names {
		bench.do(&edgeWrite{Me: names[i], Targets: [][]byte{names[(i+1)%users]}, NoWait: true})
	}
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			answered := make(chan struct{}, 1)
			e := &edgeWrite{Done: func(*edgeWrite) { answered <- struct{}{} }}
			for i := c; i < b.N; i += clients {
				e.Me = names[i%users]
				e.Targets = e.Targets[:0]
				for t := range targets {
					e.Targets = append(e.Targets, names[(i+2+i/users*targets+t)%users])
				}
				bench.writer.start(e)
				<-answered
				if e.Code != wire.OK || e.Pending {
					b.Error(results(e))
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N*targets)/b.Elapsed().Seconds(), "follows/s")
	bench.close(context.Background())
}
