package raftfsm

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

// benchOptions are those of a node on the real disk, with all defaults.
func benchOptions(b *testing.B, shards int) Options {
	o := testOptions(b, vfs.Default, shards)
	o.Dir = b.TempDir()
	o.LogMemTableBytes, o.StateMemTableBytes, o.HeartbeatTimeout = 0, 0, 0
	return o
}

// BenchmarkStoreLogs stores one entry of 200 bytes a call: synced, as raft does,
// and without the high-water mark, to tell what the mark costs.
func BenchmarkStoreLogs(b *testing.B) {
	for _, guarded := range []bool{true, false} {
		b.Run(map[bool]string{true: "guarded", false: "unguarded"}[guarded], func(b *testing.B) {
			o := benchOptions(b, 1).withDefaults()
			h := &Host{o: o, b: newBreaker(o.Logger)}
			if err := h.openStores(); err != nil {
				b.Fatal(err)
			}
			defer h.closeStores()
			s, err := openLogStore(h.logs, 0, h.guard, h.b, &o)
			if err != nil {
				b.Fatal(err)
			}
			logs := []*raft.Log{{Term: 1, Data: make([]byte, 200)}}
			for b.Loop() {
				logs[0].Index++
				if guarded {
					err = s.StoreLogs(logs)
				} else {
					err = s.commitLogs(logs)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenEmpty opens an existing node of four shards, up to its leaders.
func BenchmarkOpenEmpty(b *testing.B) {
	o := benchOptions(b, 4)
	for b.Loop() {
		h := openHost(b, o)
		h.waitLeaders(b)
		closeHost(b, h)
	}
}

// BenchmarkOpenMillion opens a node of four shards with a million follows from
// their snapshots, up to its leaders. The first opening is not counted.
func BenchmarkOpenMillion(b *testing.B) {
	o := benchOptions(b, 4)
	h := openHost(b, o)
	h.waitLeaders(b)
	started := time.Now()
	fillMillion(b, h, o.Layout)
	b.Logf("a million follows applied in %s", time.Since(started).Round(time.Millisecond))
	started = time.Now()
	closeHost(b, h)
	b.Logf("close with snapshot: %s", time.Since(started).Round(time.Millisecond))
	for b.Loop() {
		h = openHost(b, o)
		h.waitLeaders(b)
		b.StopTimer()
		closeHost(b, h)
		b.StartTimer()
	}
}

// fillMillion makes 5,000 users of each shard follow 50 others of it.
func fillMillion(b *testing.B, h *testHost, l shard.Layout) {
	const users, follows = 5000, 50
	r := rand.New(rand.NewPCG(1, 1))
	for s := range shard.ID(l.Shards()) {
		g := h.Group(s)
		ids := homeIDs(l, s, users)
		for len(ids) > 0 {
			mustApply(b, g, entryOf(&Command{Kind: CommandRegister, UserIDs: ids[:1000]}))
			ids = ids[1000:]
		}
		var last Future
		for first := 0; first < users; first += 100 {
			e := AppendEntryHeader(nil, testTime)
			for n := range uint32(100) {
				c := Command{Kind: CommandFollow, Me: l.UID(uint32(first)+n, s)}
				for range follows {
					c.Targets = append(c.Targets, l.UID(r.Uint32N(users), s))
				}
				e = AppendCommand(e, &c)
			}
			if last = g.Apply(e); first%1000 == 0 {
				if _, err := last.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, err := last.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
