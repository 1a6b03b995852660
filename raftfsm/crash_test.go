package raftfsm

import (
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// crashRig drives a lone host with random entries and loses the power at chosen
// moments: a copy of the disk as it would be then is opened and compared with
// what had been acknowledged.
type crashRig struct {
	o    Options
	r    *rand.Rand
	next []func() []byte // makes an entry, by shard

	mu struct {
		sync.Mutex
		mem       *vfs.MemFS
		countdown int        // hits until the power fails; 0 is never
		clone     *powerLoss // what is left, once it has failed
		entries   [][][]byte
		acked     []int
		rng       *rand.Rand // for the disk
	}
}

// powerLoss is a disk after a power loss, and what it must hold.
type powerLoss struct {
	mem   *vfs.MemFS
	acked []int
}

func newCrashRig(t *testing.T, shards int) *crashRig {
	r := newRand(t)
	rig := &crashRig{r: r}
	rig.mu.mem = vfs.NewCrashableMem()
	rig.mu.rng = rand.New(rand.NewPCG(r.Uint64(), 2))
	rig.mu.entries, rig.mu.acked = make([][][]byte, shards), make([]int, shards)
	rig.o = testOptions(t, rig.mu.mem, shards)
	rig.o.TrailingLogs = 5
	deliver := make([]uint64, shards)
	for s := range shards {
		own := rand.New(rand.NewPCG(r.Uint64(), 3))
		ids := homeIDs(rig.o.Layout, shard.ID(s), 100)
		rig.next = append(rig.next, func() []byte { return randomEntry(own, rig.o.Layout, shard.ID(s), ids, &deliver[s]) })
	}
	return rig
}

// hit is called wherever the power may fail. What was acknowledged is noted before the disk is copied.
func (rig *crashRig) hit() {
	rig.mu.Lock()
	defer rig.mu.Unlock()
	if rig.mu.countdown == 0 {
		return
	}
	rig.mu.countdown--
	if rig.mu.countdown == 0 {
		acked := append([]int(nil), rig.mu.acked...)
		rig.mu.clone = &powerLoss{acked: acked, mem: rig.mu.mem.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: rig.mu.rng.IntN(11) * 10, RNG: rig.mu.rng})}
	}
}

func (rig *crashRig) arm(countdown int) {
	rig.mu.Lock()
	defer rig.mu.Unlock()
	rig.mu.countdown, rig.mu.clone = countdown, nil
}

func (rig *crashRig) failed() bool {
	rig.mu.Lock()
	defer rig.mu.Unlock()
	return rig.mu.clone != nil
}

// fs is the disk, on which the power may fail before any operation if onDisk is set.
func (rig *crashRig) fs(onDisk bool) vfs.FS {
	if !onDisk {
		return lockingFS{rig.mu.mem, rig}
	}
	return errorfs.Wrap(lockingFS{rig.mu.mem, rig}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileRead && op.Kind != errorfs.OpFileReadAt {
			rig.hit()
		}
		return nil
	}))
}

// lockingFS keeps the disk from being copied during the two operations for which
// MemFS takes its own read lock twice: a copy in between would block for ever.
type lockingFS struct {
	*vfs.MemFS
	rig *crashRig
}

// Lock implements vfs.FS.
func (fs lockingFS) Lock(name string) (io.Closer, error) {
	fs.rig.mu.Lock()
	defer fs.rig.mu.Unlock()
	return fs.MemFS.Lock(name)
}

// ReuseForWrite implements vfs.FS.
func (fs lockingFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.rig.mu.Lock()
	defer fs.rig.mu.Unlock()
	return fs.MemFS.ReuseForWrite(from, to, category)
}

// drive proposes entries to a shard, a few at a time, until the power fails or n are done.
func (rig *crashRig) drive(t *testing.T, h *testHost, s shard.ID, n int, r *rand.Rand) {
	g := h.Group(s)
	for done := 0; done < n && !rig.failed(); {
		var waiting []Future
		for range 1 + r.IntN(4) {
			e := rig.next[s]()
			rig.mu.Lock()
			rig.mu.entries[s] = append(rig.mu.entries[s], e)
			rig.mu.Unlock()
			waiting = append(waiting, g.Apply(e))
			done++
		}
		for _, f := range waiting {
			if _, err := f.Wait(); err != nil {
				t.Error(err)
				return
			}
			rig.mu.Lock()
			rig.mu.acked[s]++
			rig.mu.Unlock()
		}
		if r.IntN(8) == 0 {
			if err := g.Snapshot(); err != nil {
				t.Error(err)
			}
		}
	}
}

// round opens the disk, works until the power fails, and leaves the disk as it is then.
// It returns false if the power did not fail.
func (rig *crashRig) round(t *testing.T, countdown int, onDisk bool, entries int) bool {
	t.Helper()
	rig.o.FS = rig.fs(onDisk)
	rig.arm(countdown)
	h := openHost(t, rig.o)
	h.waitLeaders(t)
	rig.verify(t, h)
	var wg sync.WaitGroup
	for s := range rig.next {
		own := rand.New(rand.NewPCG(rig.r.Uint64(), 4))
		wg.Go(func() { rig.drive(t, h, shard.ID(s), entries, own) })
	}
	wg.Wait()
	closeHost(t, h)
	rig.mu.Lock()
	defer rig.mu.Unlock()
	if rig.mu.clone == nil {
		rig.mu.countdown = 0
		return false
	}
	rig.mu.mem, rig.mu.acked = rig.mu.clone.mem, rig.mu.clone.acked
	return true
}

// verify finds out how many entries each shard has, which must be all that were
// acknowledged and may be more, and forgets those that it does not have.
func (rig *crashRig) verify(t *testing.T, h *testHost) {
	t.Helper()
	rig.mu.Lock()
	defer rig.mu.Unlock()
	for s := range rig.mu.entries {
		g := h.Group(shard.ID(s))
		g.View(func(graph *engine.Graph) {
			if err := graph.Check(); err != nil {
				t.Error(err)
			}
		})
		has := rig.prefix(t, shard.ID(s), checksum(g))
		if has < 0 {
			t.Fatalf("shard %d is in no state between its %d acknowledged and %d proposed entries",
				s, rig.mu.acked[s], len(rig.mu.entries[s]))
		}
		rig.mu.entries[s] = rig.mu.entries[s][:has]
		rig.mu.acked[s] = has
	}
}

// prefix returns after how many entries a shard has the checksum, or -1.
func (rig *crashRig) prefix(t *testing.T, s shard.ID, sum uint64) int {
	t.Helper()
	graph, err := engine.New(engine.Options{Layout: rig.o.Layout, Shard: s})
	if err != nil {
		t.Fatal(err)
	}
	f := &fsm{grown: func() {}}
	f.mu.graph = graph
	found := -1
	for i := 0; i <= len(rig.mu.entries[s]); i++ {
		if i >= rig.mu.acked[s] && graph.Checksum() == sum {
			found = i // of several, the last: entries may change nothing
		}
		if i < len(rig.mu.entries[s]) {
			f.Apply(testLog(uint64(i+1), rig.mu.entries[s][i]))
		}
	}
	return found
}

func TestPowerLossAtAnyDiskOperation(t *testing.T) {
	rig := newCrashRig(t, 2)
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	crashes := 0
	for range rounds {
		if rig.round(t, 1+rig.r.IntN(250), true, 30) {
			crashes++
		}
		if t.Failed() {
			return
		}
	}
	if crashes < rounds/2 {
		t.Errorf("the power failed in %d of %d rounds only", crashes, rounds)
	}
}
