package raftfsm

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

func TestHighWaterSurvivesCrashes(t *testing.T) {
	r := newRand(t)
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syncDir(fs, "."); err != nil {
		t.Fatal(err)
	}
	h, err := createHighWater(fs, "d")
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]uint64{}
	for range 200 {
		g := r.Uint32N(5)
		want[g] += r.Uint64N(10)
		if err := h.update(g, func(m *mark) { m.index = want[g] }); err != nil {
			t.Fatal(err)
		}
		again, err := openHighWater(crashed(fs, r.IntN(101), r), "d")
		if err != nil {
			t.Fatal(err)
		}
		for g, index := range want {
			if got := again.get(g).index; got != index {
				t.Fatalf("group %d: mark %d after a crash, not %d", g, got, index)
			}
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
}

func TestHighWaterUsesTheOtherSlot(t *testing.T) {
	fs := vfs.NewMem()
	h, err := createHighWater(fs, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		if err := h.update(0, func(m *mark) { m.index = i }); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	damage := func(slot int64) {
		f, err := fs.OpenReadWrite(highWaterName, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, slot*slotBytes+20); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	damage(1) // sequence 7, the newest
	if h, err = openHighWater(fs, ""); err != nil || h.get(0).index != 3 {
		t.Fatalf("with a damaged newest slot: %v, %v", h, err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	damage(0)
	if _, err := openHighWater(fs, ""); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with both slots damaged: %v", err)
	}
}

// Concurrent updates of many groups are all durable when they return, and share writes.
func TestHighWaterCombinesGroups(t *testing.T) {
	mem := vfs.NewMem()
	var writes sync.Map
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWriteAt {
			writes.Store(op.Offset, true)
		}
		return nil
	}))
	h, err := createHighWater(fs, "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range uint32(16) {
		wg.Go(func() {
			for i := uint64(1); i <= 50; i++ {
				if err := h.update(g, func(m *mark) { m.index = i }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if h.sequence > 16*50+2 {
		t.Errorf("%d writes for 800 updates", h.sequence)
	}
	t.Logf("%d writes for 800 updates", h.sequence)
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if h, err = openHighWater(mem, ""); err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for g := range uint32(16) {
		if h.get(g).index != 50 {
			t.Errorf("group %d: %+v", g, h.get(g))
		}
	}
}

// filled returns a closed folder with some entries and no snapshot.
func filled(t *testing.T, fs vfs.FS, entries int) Options {
	t.Helper()
	o := testOptions(t, fs, 1)
	h := openHost(t, o)
	h.waitLeaders(t)
	g := h.Group(0)
	for range entries {
		mustApply(t, g, entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 3)}))
	}
	forgetUnsaved(g) // no snapshot at Close
	closeHost(t, h)
	return o
}

func TestLostTailIsNoticed(t *testing.T) {
	fs := vfs.NewMem()
	o := filled(t, fs, 20)
	forgetEntries(t, fs, 15)
	_, err := tryOpenHost(o)
	if !errors.Is(err, ErrLogBehind) || !strings.Contains(err.Error(), "shard 0 reaches index 14") {
		t.Errorf("open of a log that lost its tail: %v", err)
	}
	// A transport does not help: by its configuration there is nobody to ask.
	o.Transport = unconnected
	o.Servers = func(shard.ID) []raft.Server { return []raft.Server{{ID: "n1"}, {ID: "n2"}} }
	if _, err := tryOpenHost(o); !errors.Is(err, ErrLogBehind) {
		t.Errorf("open as the only voter, with a transport: %v", err)
	}
}

// A start that the power fails in the middle of leaves a folder that can be started.
func TestPowerLossInTheFirstStart(t *testing.T) {
	r := newRand(t)
	reached := 0
	for operation := 1; ; operation++ {
		mem, n := vfs.NewCrashableMem(), 0
		var left *vfs.MemFS
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if n++; n == operation {
				left = crashed(mem, r.IntN(11)*10, r)
			}
			return nil
		}))
		if err := fs.MkdirAll("data", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syncDir(fs, "."); err != nil {
			t.Fatal(err)
		}
		h, err := openOrCreateHighWater(fs, "data", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if left == nil {
			break
		}
		reached++
		o := testOptions(t, left, 1)
		again, err := tryOpenHost(o)
		if err != nil {
			t.Fatalf("after a power loss at operation %d: %v", operation, err)
		}
		closeHost(t, again)
	}
	if reached < 10 {
		t.Errorf("the power failed in %d operations only", reached)
	}
}

// The newest slot may be one that this program cannot read: the other is no substitute.
func TestSlotOfUnknownVersionIsRefused(t *testing.T) {
	for slot := range int64(2) {
		fs := vfs.NewMem()
		h, err := createHighWater(fs, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.file.WriteAt([]byte{highWaterVersion + 1}, slot*slotBytes+8); err != nil {
			t.Fatal(err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if _, err := openHighWater(fs, ""); !errors.Is(err, ErrUnknownVersion) {
			t.Errorf("slot %d of an unknown version: %v", slot, err)
		}
	}
}

func TestMissingHighWaterIsRefused(t *testing.T) {
	for _, gone := range []string{"", "data/log", "data/state"} {
		fs := vfs.NewMem()
		o := filled(t, fs, 1)
		if err := fs.Remove("data/" + highWaterName); err != nil {
			t.Fatal(err)
		}
		if gone != "" {
			if err := fs.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tryOpenHost(o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("open without HIGHWATER and %q: %v", gone, err)
		}
	}
}

// One flipped bit anywhere in a write-ahead log is either harmless or refused:
// what was acknowledged is never silently gone.
func TestFlippedBitIsNeverSilent(t *testing.T) {
	r := newRand(t)
	mem := vfs.NewCrashableMem()
	o := testOptions(t, mem, 1)
	h := openHost(t, o)
	h.waitLeaders(t)
	for range 60 {
		mustApply(t, h.Group(0), entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 3)}))
	}
	want, last := checksum(h.Group(0)), h.Group(0).Status().LogLast
	refused := 0
	const tries = 60
	for range tries {
		fs := crashed(mem, 0, r)
		path := flipBit(t, fs, r)
		o.FS = fs
		o.Fatal = func(err error) { t.Logf("%s: fatal %v", path, err) }
		again, err := tryOpenHost(o)
		if err != nil {
			refused++
			continue
		}
		again.waitLeaders(t)
		if st := again.Group(0).Status(); st.LogLast < last || checksum(again.Group(0)) != want {
			t.Errorf("%s: entries to %d, checksum %x; there were %d, %x", path, st.LogLast, checksum(again.Group(0)), last, want)
		}
		closeHost(t, again)
	}
	if refused == 0 {
		t.Error("no flip was noticed: the test does not damage anything")
	}
	t.Logf("%d of %d flips refused", refused, tries)
	closeHost(t, h)
}

// flipBit flips a bit of the log's write-ahead log and returns the file.
func flipBit(t *testing.T, fs vfs.FS, r *rand.Rand) string {
	t.Helper()
	names, err := fs.List("data/log")
	if err != nil {
		t.Fatal(err)
	}
	var path string
	var content []byte
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		f, err := fs.Open("data/log/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if len(b) > len(content) {
			path, content = "data/log/"+name, b
		}
	}
	used := len(bytes.TrimRight(content, "\x00"))
	at := r.IntN(used)
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{content[at] ^ 1<<r.IntN(8)}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
