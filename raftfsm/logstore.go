package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/internal/failpoint"
)

// logStore is the raft log and the stable store of one group. All groups of a
// node share one Pebble, so that one sync serves them all.
//
// It implements raft.LogStore and raft.StableStore. Reads are safe for
// concurrent use; StoreLogs, DeleteRange of a suffix and the setters are called
// by the group's raft main loop only, DeleteRange of a prefix by its snapshot loop too.
type logStore struct {
	db      *pebble.DB
	group   uint32
	guard   *highWater
	b       *breaker
	timeout time.Duration // of the disk

	mu struct {
		sync.RWMutex
		first, last uint64 // 0, 0 when empty
		ring        ring
	}
	stable stableState

	// snapshotIndex is how far the group's snapshot reaches.
	snapshotIndex atomic.Uint64
	// behind is true from an opening at which the store had fewer entries than the
	// guard promised until the leader has filled it up again. Meanwhile the mark is
	// never lowered, or a truncation would end the quarantine without what was lost.
	behind atomic.Bool
}

// openLogStore reads the ends of a group's log and its stable values.
func openLogStore(db *pebble.DB, group uint32, guard *highWater, b *breaker, o *Options) (*logStore, error) {
	s := &logStore{db: db, group: group, guard: guard, b: b, timeout: o.StoreTimeout}
	s.mu.ring = ring{maxEntries: o.RingEntries, maxBytes: o.RingBytes}
	if err := s.readEnds(); err != nil {
		return nil, fmt.Errorf("log of group %d: %w", group, err)
	}
	if err := s.readStable(); err != nil {
		return nil, fmt.Errorf("stable store of group %d: %w", group, err)
	}
	return s, nil
}

func (s *logStore) iterator() (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{
		LowerBound: appendLogKey(nil, s.group, 0),
		UpperBound: appendLogKey(nil, s.group+1, 0),
	})
}

func (s *logStore) readEnds() (err error) {
	it, err := s.iterator()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() {
		s.mu.first = binary.BigEndian.Uint64(it.Key()[5:])
	}
	if it.Last() {
		s.mu.last = binary.BigEndian.Uint64(it.Key()[5:])
	}
	return it.Error()
}

// verify reads all entries above index after and returns an error if one is
// missing or damaged: hashicorp/raft would panic over it.
func (s *logStore) verify(after uint64) (err error) {
	first, last := s.ends()
	if last <= after {
		return nil
	}
	if first > after+1 {
		return fmt.Errorf("%w: shard %d has state up to %d, but its log begins at %d", ErrLogGap, s.group, after, first)
	}
	it, err := s.iterator()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	next := after + 1
	var l raft.Log
	for ok := it.SeekGE(appendLogKey(nil, s.group, next)); ok; ok = it.Next() {
		index := binary.BigEndian.Uint64(it.Key()[5:])
		if index != next {
			return fmt.Errorf("%w: shard %d: the log has no entry %d, but has %d", ErrLogGap, s.group, next, index)
		}
		if err := decodeLogValue(it.Value(), s.group, index, &l); err != nil {
			return fmt.Errorf("shard %d: log entry %d: %w", s.group, index, err)
		}
		next++
	}
	return it.Error()
}

// configuration returns the newest configuration in the log above index after, or
// nil. It reads all entries, so it is for a damaged log only.
func (s *logStore) configuration(after uint64) (found *raft.Configuration, err error) {
	it, err := s.iterator()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var l raft.Log
	for ok := it.SeekGE(appendLogKey(nil, s.group, after+1)); ok; ok = it.Next() {
		index := binary.BigEndian.Uint64(it.Key()[5:])
		if err := decodeLogValue(it.Value(), s.group, index, &l); err != nil {
			return nil, fmt.Errorf("shard %d: log entry %d: %w", s.group, index, err)
		}
		if l.Type == raft.LogConfiguration {
			c := raft.DecodeConfiguration(l.Data) // panics over what the checksum excludes
			found = &c
		}
	}
	return found, it.Error()
}

func (s *logStore) ends() (first, last uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.first, s.mu.last
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	first, _ := s.ends()
	return first, nil
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	_, last := s.ends()
	return last, nil
}

// GetLog implements raft.LogStore. A damaged entry stops the node: raft would panic.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	s.mu.RLock()
	hit := s.mu.ring.get(index, l)
	s.mu.RUnlock()
	if hit {
		return nil
	}
	var key [logKeyBytes]byte
	value, closer, err := s.db.Get(appendLogKey(key[:0], s.group, index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err == nil {
		err = errors.Join(decodeLogValue(value, s.group, index, l), closer.Close())
	}
	if err != nil {
		s.b.stop(fmt.Errorf("shard %d: read log entry %d: %w", s.group, index, err))
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore: one synced batch, then the high-water
// mark. When it returns nil the entries survive a power loss. An error stops the node.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	if err := s.b.err(); err != nil {
		return err
	}
	done := s.b.watch("storing log entries", s.timeout)
	defer done()
	failpoint.Hit("raftfsm/log-store")
	if err := s.commitLogs(logs); err != nil {
		return s.failed("store log entries", err)
	}
	failpoint.Hit("raftfsm/log-synced")
	if err := s.raise(logs[len(logs)-1].Index); err != nil {
		return err
	}
	s.appended(logs)
	s.checkBehind()
	return nil
}

// raise takes the mark up to an index that is durable.
func (s *logStore) raise(index uint64) error {
	if err := s.guard.update(s.group, func(m *mark) { m.index = max(m.index, index) }); err != nil {
		return s.failed("raise the high-water mark", err)
	}
	return nil
}

// lower takes the mark down to index, before the entries above are deleted on
// purpose. It leaves the mark of a log that is behind: that promises other entries.
func (s *logStore) lower(index uint64) error {
	if s.behind.Load() {
		return nil
	}
	if err := s.guard.update(s.group, func(m *mark) { m.index = min(m.index, index) }); err != nil {
		return s.failed("lower the high-water mark", err)
	}
	return nil
}

func (s *logStore) appended(logs []*raft.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.first == 0 {
		s.mu.first = logs[0].Index
	}
	s.mu.last = logs[len(logs)-1].Index
	for _, l := range logs {
		s.mu.ring.push(l)
	}
}

// reach is up to which index this store has everything. A snapshot stands for all
// entries up to its index.
func (s *logStore) reach() uint64 {
	_, last := s.ends()
	return max(last, s.snapshotIndex.Load())
}

// checkBehind ends the quarantine once everything promised is there again.
func (s *logStore) checkBehind() {
	if s.behind.Load() && s.reach() >= s.guard.get(s.group).index {
		s.behind.Store(false)
	}
}

func (s *logStore) commitLogs(logs []*raft.Log) error {
	size := 0
	for _, l := range logs {
		if len(l.Extensions) > maxExtensionsBytes {
			return fmt.Errorf("%w: extensions of %d bytes", ErrEntryTooLarge, len(l.Extensions))
		}
		size += logValueBytes(l)
	}
	batch := s.db.NewBatchWithSize(size + len(logs)*32 + 64)
	for _, l := range logs {
		op := batch.SetDeferred(logKeyBytes, logValueBytes(l))
		appendLogKey(op.Key[:0], s.group, l.Index)
		appendLogValue(op.Value[:0], s.group, l)
		if err := op.Finish(); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	return errors.Join(batch.Commit(pebble.Sync), batch.Close())
}

// failed stops the node because of a failed write and returns the error for
// raft, which then steps down.
func (s *logStore) failed(what string, err error) error {
	err = fmt.Errorf("shard %d: %s: %w", s.group, what, err)
	s.b.trip(err)
	return err
}

// DeleteRange implements raft.LogStore. Before a suffix goes, the mark is lowered.
func (s *logStore) DeleteRange(low, high uint64) error {
	first, last := s.ends()
	if last == 0 || high < first || low > last || low > high {
		return nil
	}
	if err := s.b.err(); err != nil {
		return err
	}
	done := s.b.watch("deleting log entries", s.timeout)
	defer done()
	write := pebble.NoSync // a prefix that comes back after a crash does no harm
	if high >= last && high > s.snapshotIndex.Load() {
		write = pebble.Sync
		if err := s.lower(low - 1); err != nil {
			return err
		}
	}
	failpoint.Hit("raftfsm/log-truncate")
	if err := s.db.DeleteRange(appendLogKey(nil, s.group, low), appendLogKey(nil, s.group, high+1), write); err != nil {
		return s.failed("delete log entries", err)
	}
	failpoint.Hit("raftfsm/log-truncated")
	s.cut(low, high)
	return nil
}

// cut takes a deleted prefix or suffix out of what is cached.
func (s *logStore) cut(low, high uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.ring.delete(low, high)
	if low <= s.mu.first {
		s.mu.first = high + 1
	}
	if high >= s.mu.last {
		s.mu.last = low - 1
	}
	if s.mu.first > s.mu.last {
		s.mu.first, s.mu.last = 0, 0
	}
}

// adoptSnapshot makes the log agree with a snapshot that was installed from
// another node. What the log holds up to the snapshot's index is superseded.
// What it holds beyond stays if it continues the snapshot, that is, if its entry
// at that index has the snapshot's term; otherwise it diverged, and the whole log
// goes, or the leader would send the same snapshot for ever. It returns true when
// entries were deleted that raft still believes in.
func (s *logStore) adoptSnapshot(index, term uint64) (diverged bool, err error) {
	first, last := s.ends()
	if last == 0 || index == 0 {
		return false, nil
	}
	if index < first {
		return false, nil // the log goes on where the snapshot ends, or verify finds the gap
	}
	if index <= last {
		var l raft.Log
		if err := s.GetLog(index, &l); err != nil {
			return false, err
		}
		if l.Term == term {
			return false, nil
		}
		// The snapshot is committed, so nothing of ours from here on ever was.
		if err := s.lower(index); err != nil {
			return false, err
		}
	}
	failpoint.Hit("raftfsm/log-reset")
	if err := s.db.DeleteRange(appendLogKey(nil, s.group, 0), appendLogKey(nil, s.group+1, 0), pebble.Sync); err != nil {
		return false, s.failed("delete the log", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.first, s.mu.last = 0, 0
	s.mu.ring.clear()
	return last > index, nil
}
