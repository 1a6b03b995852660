package raftfsm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

// logFixture is two groups' log stores over one Pebble, without raft.
type logFixture struct {
	fs     vfs.FS
	b      *breaker
	guard  *highWater
	db     *pebble.DB
	stores []*logStore
}

func openLogs(t testing.TB, fs vfs.FS, snapshots ...uint64) *logFixture {
	t.Helper()
	f, err := tryOpenLogs(t, fs, snapshots...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tryOpenLogs opens the stores as a Host does whose snapshots reach to the given indexes.
func tryOpenLogs(t testing.TB, fs vfs.FS, snapshots ...uint64) (*logFixture, error) {
	t.Helper()
	o := testOptions(t, fs, 2)
	o.RingEntries, o.RingBytes = 8, 2000
	o = o.withDefaults()
	h := &Host{o: o, b: newBreaker(o.Logger)}
	if err := h.openStores(); err != nil {
		return nil, errors.Join(err, h.closeStores())
	}
	if err := h.state.Close(); err != nil {
		t.Fatal(err)
	}
	f := &logFixture{fs: fs, b: h.b, guard: h.guard, db: h.logs}
	for g := range uint32(2) {
		s, err := openLogStore(f.db, g, f.guard, f.b, &o)
		if err == nil {
			if len(snapshots) > 0 {
				s.snapshotIndex.Store(snapshots[g])
			}
			err = h.checkMark(shard.ID(g), s, nil)
		}
		if err == nil {
			first, _ := s.ends()
			err = s.verify(max(first, 1) - 1)
		}
		if err != nil {
			return nil, errors.Join(err, h.logs.Close(), h.guard.close())
		}
		f.stores = append(f.stores, s)
	}
	return f, nil
}

func (f *logFixture) close(t testing.TB) {
	t.Helper()
	if err := errors.Join(f.db.Close(), f.guard.close(), f.b.err()); err != nil {
		t.Fatal(err)
	}
}

// logModel is what a log store should hold.
type logModel struct {
	first, last uint64
	snapshot    uint64
	entries     map[uint64]raft.Log
}

func (m *logModel) store(logs []*raft.Log) {
	for _, l := range logs {
		if m.first == 0 {
			m.first = l.Index
		}
		m.last, m.entries[l.Index] = l.Index, *l
	}
}

func (m *logModel) deleteRange(low, high uint64) {
	for i := low; i <= high; i++ {
		delete(m.entries, i)
	}
	if low <= m.first {
		m.first = high + 1
	}
	if high >= m.last {
		m.last = low - 1
	}
	if m.first > m.last {
		m.first, m.last = 0, 0
	}
}

func (m *logModel) check(t *testing.T, s *logStore) {
	t.Helper()
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	if first != m.first || last != m.last {
		t.Fatalf("log from %d to %d, not %d to %d", first, last, m.first, m.last)
	}
	for i := max(m.first, 3) - 3; i <= m.last+3; i++ {
		var l raft.Log
		err := s.GetLog(i, &l)
		want, ok := m.entries[i]
		if !ok {
			if !errors.Is(err, raft.ErrLogNotFound) {
				t.Fatalf("entry %d: %v", i, err)
			}
			continue
		}
		if err != nil || l.Index != i || l.Term != want.Term || l.Type != want.Type || !bytes.Equal(l.Data, want.Data) {
			t.Fatalf("entry %d: %+v, %v, not %+v", i, l, err, want)
		}
	}
}

func randomLogs(r *rand.Rand, next, term uint64) []*raft.Log {
	var logs []*raft.Log
	for range 1 + r.IntN(5) {
		logs = append(logs, &raft.Log{Index: next, Term: term, Type: raft.LogType(r.IntN(2)), Data: make([]byte, r.IntN(600))})
		next++
	}
	return logs
}

func TestLogStoreAgainstModel(t *testing.T) {
	r := newRand(t)
	fs := vfs.NewMem()
	f := openLogs(t, fs)
	models := []*logModel{{entries: map[uint64]raft.Log{}}, {entries: map[uint64]raft.Log{}}}
	for range 600 {
		g := r.IntN(2)
		s, m := f.stores[g], models[g]
		switch k := r.IntN(20); {
		case k < 12:
			logs := randomLogs(r, max(m.last, m.snapshot)+1, r.Uint64N(5)+1)
			m.store(logs)
			if err := s.StoreLogs(logs); err != nil {
				t.Fatal(err)
			}
		case k < 14 && m.last > 0: // suffix
			low := m.last - r.Uint64N(min(m.last-m.first+1, 6))
			high := m.last
			if err := s.DeleteRange(low, high); err != nil {
				t.Fatal(err)
			}
			m.deleteRange(low, high)
			if got := f.guard.get(uint32(g)).index; got >= low {
				t.Fatalf("the mark is %d after entries from %d were deleted", got, low)
			}
		case k < 16 && m.last > m.first: // prefix, behind a snapshot
			high := m.first + r.Uint64N(m.last-m.first)
			m.snapshot = high
			s.snapshotIndex.Store(high)
			if err := s.DeleteRange(m.first, high); err != nil {
				t.Fatal(err)
			}
			m.deleteRange(m.first, high)
		case k < 17:
			f.close(t)
			f = openLogs(t, fs, models[0].snapshot, models[1].snapshot)
		default:
			m.check(t, s)
		}
	}
	for g, m := range models {
		m.check(t, f.stores[g])
	}
	f.close(t)
}

func TestStableStoreKeepsValues(t *testing.T) {
	fs := vfs.NewMem()
	f := openLogs(t, fs)
	s := f.stores[1]
	for _, key := range []string{stableCurrentTerm, stableVoteTerm, "other"} {
		if _, err := s.GetUint64([]byte(key)); err == nil || err.Error() != "not found" {
			t.Errorf("%s of a new store: %v", key, err)
		}
	}
	for _, key := range []string{stableVoteCand, "blob"} {
		if _, err := s.Get([]byte(key)); err == nil || err.Error() != "not found" {
			t.Errorf("%s of a new store: %v", key, err)
		}
	}
	for key, v := range map[string]uint64{stableCurrentTerm: 7, stableVoteTerm: 6, "other": 5} {
		if err := s.SetUint64([]byte(key), v); err != nil {
			t.Fatal(err)
		}
	}
	for key, v := range map[string]string{stableVoteCand: "n2", "blob": "x"} {
		if err := s.Set([]byte(key), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for key, want := range map[string]uint64{stableCurrentTerm: 7, stableVoteTerm: 6, "other": 5} {
			if v, err := s.GetUint64([]byte(key)); v != want || err != nil {
				t.Errorf("%s: %d, %v", key, v, err)
			}
		}
		for key, want := range map[string]string{stableVoteCand: "n2", "blob": "x"} {
			if v, err := s.Get([]byte(key)); string(v) != want || err != nil {
				t.Errorf("%s: %q, %v", key, v, err)
			}
		}
		f.close(t)
		f = openLogs(t, fs)
		s = f.stores[1]
	}
	f.close(t)
}

// A vote is either stored with its candidate or not at all, wherever the power fails.
func TestVoteIsAtomic(t *testing.T) {
	r := newRand(t)
	for percent := 0; percent <= 100; percent += 50 {
		fs := vfs.NewCrashableMem()
		f := openLogs(t, fs)
		var acked uint64
		for term := uint64(1); term <= 6; term++ {
			if err := f.stores[0].SetUint64([]byte(stableCurrentTerm), term); err != nil {
				t.Fatal(err)
			}
			if err := f.stores[0].SetUint64([]byte(stableVoteTerm), term); err != nil {
				t.Fatal(err)
			}
			checkVote(t, crashed(fs, percent, r), term-1, term)
			if err := f.stores[0].Set([]byte(stableVoteCand), fmt.Appendf(nil, "n%d", term)); err != nil {
				t.Fatal(err)
			}
			acked = term
			checkVote(t, crashed(fs, percent, r), acked, acked)
		}
		f.close(t)
	}
}

// crashed returns what a power loss leaves of the disk.
func crashed(fs *vfs.MemFS, percent int, r *rand.Rand) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})
}

func checkVote(t *testing.T, fs vfs.FS, want, currentTerm uint64) {
	t.Helper()
	f := openLogs(t, fs)
	defer f.close(t)
	s := f.stores[0]
	if term, err := s.GetUint64([]byte(stableCurrentTerm)); err != nil || term != currentTerm {
		t.Errorf("term %d, %v, not %d", term, err, currentTerm)
	}
	term, err := s.GetUint64([]byte(stableVoteTerm))
	if want == 0 {
		if !errors.Is(err, errNotFound) {
			t.Errorf("vote %d, %v", term, err)
		}
		return
	}
	candidate, candErr := s.Get([]byte(stableVoteCand))
	if err != nil || candErr != nil || term != want || string(candidate) != fmt.Sprintf("n%d", want) {
		t.Errorf("vote in term %d for %q, not in %d: %v, %v", term, candidate, want, err, candErr)
	}
}

func TestDamagedEntryIsFoundAtOpen(t *testing.T) {
	fs := vfs.NewMem()
	f := openLogs(t, fs)
	if err := f.stores[0].StoreLogs(randomLogs(newRand(t), 1, 1)); err != nil {
		t.Fatal(err)
	}
	l := goldenLog()
	value := appendLogValue(nil, 0, &l) // a valid value, under the key of another
	if err := f.db.Set(appendLogKey(nil, 0, 1), value, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	f.close(t)
	if _, err := tryOpenLogs(t, fs); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a moved entry: %v", err)
	}
}

func TestStoreOfAnotherVersionIsRefused(t *testing.T) {
	for value, want := range map[string]error{"\x02": ErrUnknownVersion, "": ErrCorrupt} {
		fs := vfs.NewMem()
		f := openLogs(t, fs)
		if err := f.db.Set([]byte(versionKey), []byte(value), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		f.close(t)
		if _, err := tryOpenLogs(t, fs); !errors.Is(err, want) {
			t.Errorf("version %q: %v", value, err)
		}
	}
}

func TestRingHoldsItsLimits(t *testing.T) {
	r := ring{maxEntries: 4, maxBytes: 1000}
	var l raft.Log
	for i := uint64(1); i <= 10; i++ {
		r.push(&raft.Log{Index: i, Data: make([]byte, 100)})
	}
	if r.get(6, &l) || !r.get(7, &l) || !r.get(10, &l) || l.Index != 10 || r.get(11, &l) {
		t.Errorf("4 entries should be left: %d", r.count)
	}
	r.push(&raft.Log{Index: 11, Data: make([]byte, 2000)})
	if r.count != 0 || r.bytes != 0 {
		t.Errorf("an entry above the limit leaves %d entries of %d bytes", r.count, r.bytes)
	}
	r.push(&raft.Log{Index: 12})
	r.push(&raft.Log{Index: 20})
	if r.get(12, &l) || !r.get(20, &l) {
		t.Error("a gap does not empty the ring")
	}
}
