package raftfsm

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

func testLog(index uint64, data []byte) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
}

func TestHostAppliesAndReopens(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(t, fs, 4)
	r := newRand(t)
	h := openHost(t, o)
	h.waitLeaders(t)
	entries := make([][][]byte, 4)
	deliver := make([]uint64, 4)
	for n := range 200 {
		s := shard.ID(n % 4)
		e := randomEntry(r, o.Layout, s, homeIDs(o.Layout, s, 50), &deliver[s])
		entries[s] = append(entries[s], e)
		mustApply(t, h.Group(s), e)
	}
	want := make([]uint64, 4)
	for s := range want {
		want[s] = checksum(h.Group(shard.ID(s)))
		if got := replayed(t, o.Layout, shard.ID(s), entries[s]); got != want[s] {
			t.Errorf("shard %d: checksum %x, replayed %x", s, want[s], got)
		}
	}
	closeHost(t, h)
	h = openHost(t, o)
	h.waitLeaders(t)
	defer closeHost(t, h)
	for s := range want {
		g := h.Group(shard.ID(s))
		if got := checksum(g); got != want[s] {
			t.Errorf("shard %d: checksum %x after reopening, was %x", s, got, want[s])
		}
		if st := g.Status(); st.SnapshotIndex == 0 || !st.Ready || !st.Leader {
			t.Errorf("shard %d: %+v", s, st)
		}
		g.View(func(graph *engine.Graph) {
			if err := graph.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}
