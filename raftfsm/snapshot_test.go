package raftfsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// randomHost is a host of one node and two shards with random entries in shard 0.
type randomHost struct {
	*testHost
	g       *Group
	entries [][]byte
	next    func() []byte
}

func openRandom(t *testing.T, o Options) *randomHost {
	t.Helper()
	r := newRand(t)
	h := &randomHost{testHost: openHost(t, o)}
	h.waitLeaders(t)
	h.g = h.Group(0)
	ids := homeIDs(o.Layout, 0, 300)
	var deliver uint64
	h.next = func() []byte { return randomEntry(r, o.Layout, 0, ids, &deliver) }
	return h
}

func (h *randomHost) apply(t *testing.T, n int) {
	t.Helper()
	for range n {
		e := h.next()
		h.entries = append(h.entries, e)
		mustApply(t, h.g, e)
	}
}

func TestSnapshotTruncatesTheLogAndLoads(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(t, fs, 2)
	o.TrailingLogs = 10
	h := openRandom(t, o)
	for range 5 {
		h.apply(t, 60)
		if err := h.g.Snapshot(); err != nil {
			t.Fatal(err)
		}
		st := h.g.Status()
		if st.SnapshotIndex != st.Applied || st.LogFirst != st.LogLast-9 {
			t.Errorf("after a snapshot: %+v", st)
		}
	}
	h.apply(t, 20)
	want := checksum(h.g)
	if got := replayed(t, o.Layout, 0, h.entries); got != want {
		t.Errorf("checksum %x, replayed %x", want, got)
	}
	forgetUnsaved(h.g) // no snapshot at Close, so that entries are replayed
	closeHost(t, h.testHost)
	again := openHost(t, o)
	again.waitLeaders(t)
	if got := checksum(again.Group(0)); got != want {
		t.Errorf("checksum %x after reopening, was %x", got, want)
	}
	closeHost(t, again)
}

// Snapshots taken while entries are applied hold exactly the entries up to their index.
func TestSnapshotWhileApplying(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	o.TrailingLogs = 1 << 20
	h := openRandom(t, o)
	defer closeHost(t, h.testHost)
	h.apply(t, 50)
	stop := make(chan struct{})
	applied := make(chan struct{}) // taken when the next snapshot waits for an entry
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(applied)
		for {
			e := h.next()
			h.entries = append(h.entries, e)
			if _, err := h.g.Apply(e).Wait(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case applied <- struct{}{}:
			default:
			}
		}
	})
	sums := map[uint64]uint64{}
	for range 30 {
		<-applied
		if err := h.g.Snapshot(); err != nil {
			t.Error(err)
		}
		f := loadStored(t, h.g)
		sums[f.mu.applied] = f.mu.graph.Checksum()
		if err := f.mu.graph.Check(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	checkSums(t, h, sums)
}

// checkSums replays the log and compares the checksum at each index.
func checkSums(t *testing.T, h *randomHost, sums map[uint64]uint64) {
	t.Helper()
	graph, err := engine.New(h.g.fsm.options)
	if err != nil {
		t.Fatal(err)
	}
	f := &fsm{grown: func() {}}
	f.mu.graph = graph
	found := 0
	for i := uint64(1); i <= h.g.Status().LogLast; i++ {
		var l raft.Log
		if err := h.g.log.GetLog(i, &l); err != nil {
			t.Fatal(err)
		}
		f.Apply(&l)
		if want, ok := sums[i]; ok {
			found++
			if got := graph.Checksum(); got != want {
				t.Errorf("snapshot at %d has checksum %x, replayed %x", i, want, got)
			}
		}
	}
	if found != len(sums) || found < 2 {
		t.Errorf("%d of %d snapshots compared", found, len(sums))
	}
}

// loadStored loads what is stored of a group, beside the running one.
func loadStored(t *testing.T, g *Group) *fsm {
	t.Helper()
	f, err := openFSM(g.fsm.options, g.state, g.b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// streamOf returns the group's snapshot as a stream.
func streamOf(t *testing.T, g *Group) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	list, err := g.state.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	meta, r, err := g.state.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != meta.Size {
		t.Errorf("the stream has %d bytes, its meta says %d", len(b), meta.Size)
	}
	return meta, b
}

func createSink(t *testing.T, g *Group, m *raft.SnapshotMeta) raft.SnapshotSink {
	t.Helper()
	s, err := g.state.Create(1, m.Index, m.Term, m.Configuration, m.ConfigurationIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInstallByStream(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	from := openRandom(t, o)
	defer closeHost(t, from.testHost)
	from.apply(t, 300)
	if err := from.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	meta, stream := streamOf(t, from.g)

	o.FS = vfs.NewMem()
	to := openHost(t, o)
	defer closeHost(t, to)
	to.waitLeaders(t)
	g := to.Group(0)
	mustApply(t, g, entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 2)}))
	if err := g.Snapshot(); err != nil { // an old generation to be replaced
		t.Fatal(err)
	}
	k := createSink(t, g, meta)
	for b := stream; len(b) > 0; {
		n, err := k.Write(b[:min(len(b), 1000)])
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if f := loadStored(t, g); f.mu.graph.Checksum() != checksum(from.g) || f.mu.applied != meta.Index {
		t.Error("the installed snapshot differs from the sent one")
	}
	if n := countRecords(t, g, 2); n == 0 {
		t.Error("nothing is stored under the new generation")
	}
	if n := countRecords(t, g, 1); n != 0 {
		t.Errorf("%d records of the old generation are left", n)
	}
	// The state machine now belongs to another generation than the store.
	if err := g.Snapshot(); err == nil || !errors.Is(lastStale(t, g), ErrStaleSnapshot) {
		t.Errorf("a local snapshot of the replaced state: %v", err)
	}
	if err := g.fsm.catchUp(); err != nil {
		t.Fatal(err)
	}
	if checksum(g) != checksum(from.g) {
		t.Error("the state machine did not catch up")
	}
}

// installOver returns a host with a snapshot that was installed over state of its
// own which has none yet, and the snapshot's meta.
func installOver(t *testing.T) (*testHost, *raft.SnapshotMeta) {
	t.Helper()
	o := testOptions(t, vfs.NewMem(), 2)
	from := openRandom(t, o)
	defer closeHost(t, from.testHost)
	from.apply(t, 100)
	if err := from.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	meta, stream := streamOf(t, from.g)
	o.FS = vfs.NewMem()
	to := openHost(t, o)
	to.waitLeaders(t)
	mustApply(t, to.Group(0), entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 2)}))
	k := createSink(t, to.Group(0), meta)
	if _, err := k.Write(stream); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	return to, meta
}

func TestInstallRaisesTheMark(t *testing.T) {
	to, meta := installOver(t)
	defer closeHost(t, to)
	g := to.Group(0)
	if m := g.log.guard.get(0); m.index != meta.Index {
		t.Errorf("snapshot %d is installed, the mark is %+v", meta.Index, m)
	}
	if err := g.fsm.catchUp(); err != nil {
		t.Error(err)
	}
}

// The state that an installed snapshot replaces has nothing to store when its instance ends.
func TestRestartOverInstalledSnapshot(t *testing.T) {
	to, meta := installOver(t)
	defer closeHost(t, to)
	g := to.Group(0)
	if err := g.restart(); err != nil {
		t.Errorf("restart: %v", err)
	}
	if st := g.Status(); st.Applied < meta.Index || st.SnapshotIndex != meta.Index || g.fsm.hasUnsaved() && st.Applied == meta.Index {
		t.Errorf("after the restart: %+v", st)
	}
}

// A snapshot whose end an installed one overtakes leaves the triggers alone.
func TestOvertakenSnapshotDoesNotCount(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	h := openRandom(t, o)
	defer closeHost(t, h.testHost)
	h.apply(t, 20)
	f := h.g.fsm
	s, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	h.apply(t, 20)
	k := createSink(t, h.g, &raft.SnapshotMeta{Index: h.g.Status().Applied, Term: h.g.Status().Term})
	forgetUnsaved(h.g) // as load does
	f.mu.Lock()
	f.mu.generation++
	f.mu.Unlock()
	if err := s.Persist(k); err != nil {
		t.Fatal(err)
	}
	if w := f.unsaved(); w != (work{}) {
		t.Errorf("%+v is unsaved", w)
	}
	f.mu.Lock()
	f.mu.generation--
	f.mu.Unlock()
	h.apply(t, 1)
	if w := f.unsaved(); w.bytes != uint64(len(h.entries[40])) {
		t.Errorf("%+v is unsaved after an entry of %d bytes", w, len(h.entries[40]))
	}
}

func TestTooLargeSnapshotFailsAndChangesNothing(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	h := openRandom(t, o)
	defer closeHost(t, h.testHost)
	h.apply(t, 50)
	h.g.state.maxPersistBytes = 200
	s, err := h.g.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	k := createSink(t, h.g, &raft.SnapshotMeta{Index: h.g.Status().Applied, Term: 1})
	if err := s.Persist(k); !errors.Is(err, ErrSnapshotTooLarge) {
		t.Errorf("a snapshot of more than 200 bytes: %v", err)
	}
	s.Release()
	if err := k.Cancel(); err != nil || h.g.state.meta() != nil || !h.g.fsm.hasUnsaved() {
		t.Errorf("%v, meta %+v", err, h.g.state.meta())
	}
	h.g.state.maxPersistBytes = maxPersistBytes
	if err := h.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if f := loadStored(t, h.g); f.mu.graph.Checksum() != checksum(h.g) {
		t.Error("the next snapshot is not whole")
	}
}

// A stream may come whole and yet make no graph.
func TestInstalledSnapshotThatCannotBeLoadedStopsTheNode(t *testing.T) {
	inChild(t, func(t *testing.T) {
		h, fatal := fatalRig(t, testOptions(t, vfs.NewMem(), 2))
		g := h.Group(0)
		k := createSink(t, g, &raft.SnapshotMeta{Index: 1000, Term: 9})
		b := appendStreamFrame(appendStreamHeader(nil, 1000, 9), []byte("key"), []byte("no record"))
		b = appendStreamTrailer(b, 1)
		if _, err := k.Write(appendUint64(b, xxhash.Sum64(b))); err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		_, r, err := g.state.Open(k.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.fsm.Restore(r); !errors.Is(err, engine.ErrCorrupt) && !errors.Is(err, engine.ErrUnknownVersion) {
			t.Errorf("restore: %v", err)
		}
		if err := <-fatal; !strings.Contains(err.Error(), "restore") {
			t.Errorf("stopped by %v", err)
		}
		if g.Ready() {
			t.Error("the group is still ready")
		}
		if err := h.Close(); !errors.Is(err, ErrStopped) {
			t.Errorf("Close: %v", err)
		}
	})
}

// lastStale shows the error of a snapshot of the group's present graph, which raft turns into text.
func lastStale(t *testing.T, g *Group) error {
	t.Helper()
	s, err := g.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	k := createSink(t, g, &raft.SnapshotMeta{Index: 1 << 40, Term: 1})
	defer k.Cancel()
	return s.Persist(k)
}

func countRecords(t *testing.T, g *Group, generation uint64) (n int) {
	t.Helper()
	it, err := g.state.db.NewIter(&pebble.IterOptions{
		LowerBound: appendRecordPrefix(nil, g.state.group, generation),
		UpperBound: appendRecordPrefix(nil, g.state.group, generation+1),
	})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStaleAndBrokenStreamsChangeNothing(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	h := openRandom(t, o)
	defer closeHost(t, h.testHost)
	h.apply(t, 30)
	if err := h.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	meta, stream := streamOf(t, h.g)
	h.apply(t, 30)
	if err := h.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	newer, want := h.g.Status().SnapshotIndex, checksum(h.g)

	k := createSink(t, h.g, meta)
	if _, err := k.Write(stream); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); !errors.Is(err, ErrStaleSnapshot) {
		t.Errorf("an older snapshot: %v", err)
	}
	meta.Index = newer + 1
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"of another index": {stream, ErrCorrupt},
		"cut":              {announce(stream, newer+1)[:len(stream)-30], ErrTruncated},
		"flipped":          {flipped(announce(stream, newer+1)), ErrCorrupt},
	} {
		k := createSink(t, h.g, meta)
		_, err := io.Copy(k, bytes.NewReader(tc.bytes))
		if err == nil {
			err = k.Close()
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("a stream %s: %v", name, err)
		}
		if err := k.Cancel(); err != nil {
			t.Errorf("cancel of a stream %s: %v", name, err)
		}
	}
	if f := loadStored(t, h.g); f.mu.applied != newer || f.mu.graph.Checksum() != want {
		t.Error("a refused stream changed the snapshot")
	}
	for generation := uint64(2); generation < 10; generation++ {
		if n := countRecords(t, h.g, generation); n != 0 {
			t.Errorf("%d staged records are left of generation %d", n, generation)
		}
	}
	if _, _, err := h.g.state.Open("1-1"); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("open of a snapshot that is gone: %v", err)
	}
}

// announce returns the stream with another index in its header.
func announce(stream []byte, index uint64) []byte {
	b := bytes.Clone(stream)
	copy(b[12:20], appendUint64(nil, index))
	return b
}

func flipped(b []byte) []byte {
	b[len(b)/2] ^= 4
	return b
}

// Staging goes to the disk in pieces; left-overs of a crash are deleted by the next opening.
func TestStagedRecordsOfACrashAreDeleted(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := testOptions(t, mem, 2)
	h := openRandom(t, o)
	h.apply(t, 5)
	if err := h.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	k := createSink(t, h.g, &raft.SnapshotMeta{Index: 1000, Term: 9})
	b := appendStreamHeader(nil, 1000, 9)
	for i := range 40 {
		b = appendStreamFrame(b, fmt.Appendf(nil, "key%03d", i), make([]byte, 100_000))
	}
	if _, err := k.Write(b); err != nil {
		t.Fatal(err)
	}
	if n := countRecords(t, h.g, 2); n < 20 {
		t.Errorf("only %d records staged: all is held in memory", n)
	}
	o.FS = crashed(mem, 100, newRand(t))
	if err := k.Cancel(); err != nil {
		t.Error(err)
	}
	want := checksum(h.g)
	closeHost(t, h.testHost)
	again := openHost(t, o)
	defer closeHost(t, again)
	again.waitLeaders(t)
	if n := countRecords(t, again.Group(0), 2); n != 0 {
		t.Errorf("%d staged records are left", n)
	}
	if checksum(again.Group(0)) != want {
		t.Error("the state changed")
	}
}

func TestReleaseWithoutPersistKeepsChanges(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	h := openRandom(t, o)
	h.apply(t, 30)
	s, err := h.g.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	h.apply(t, 30)
	s.Release()
	want := checksum(h.g)
	closeHost(t, h.testHost) // snapshots
	again := openHost(t, o)
	defer closeHost(t, again)
	if f := loadStored(t, again.Group(shard.ID(0))); f.mu.graph.Checksum() != want {
		t.Error("an aborted snapshot lost changes")
	}
}
