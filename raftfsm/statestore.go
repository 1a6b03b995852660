package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/internal/failpoint"
)

// stateStore keeps the snapshot of one group in the node's second Pebble and is
// its raft.SnapshotStore. There is always at most one snapshot, the newest: a
// local one changes the records in place, in one atomic batch with its index.
type stateStore struct {
	db    *pebble.DB
	group uint32
	log   *logStore
	b     *breaker
	// diverged is called when an installed snapshot deleted log entries that raft
	// still believes in: the raft instance must be made anew. It must not block.
	diverged func()

	// maxPersistBytes is the constant of that name; tests lower it.
	maxPersistBytes int

	// writing is held by whoever replaces the snapshot: a channel, because it is held across I/O.
	writing chan struct{}

	mu struct {
		sync.Mutex
		meta   *stateMeta // nil without a snapshot
		staged uint64     // newest generation ever used
	}
}

// openStateStore reads what snapshot the group has and deletes what an installation left half done.
func openStateStore(db *pebble.DB, group uint32, log *logStore, b *breaker) (*stateStore, error) {
	s := &stateStore{
		db: db, group: group, log: log, b: b, diverged: func() {},
		maxPersistBytes: maxPersistBytes, writing: make(chan struct{}, 1),
	}
	meta, err := readMeta(db, group)
	if err != nil {
		return nil, err
	}
	s.mu.meta, s.mu.staged = meta, firstGeneration
	batch := db.NewBatch()
	if meta != nil {
		s.mu.staged = meta.generation
		log.snapshotIndex.Store(meta.index)
		err = batch.DeleteRange(appendRecordPrefix(nil, group, 0), appendRecordPrefix(nil, group, meta.generation), nil)
	}
	err = errors.Join(err,
		batch.DeleteRange(appendRecordPrefix(nil, group, s.generation()+1), appendRecordPrefix(nil, group+1, 0), nil),
		batch.Commit(pebble.NoSync), batch.Close())
	if err != nil {
		return nil, fmt.Errorf("state of shard %d: %w", group, err)
	}
	return s, nil
}

// meta returns what snapshot there is, or nil.
func (s *stateStore) meta() *stateMeta {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.meta
}

// generation returns the generation that local snapshots write to.
func (s *stateStore) generation() uint64 {
	if m := s.meta(); m != nil {
		return m.generation
	}
	return firstGeneration
}

func (s *stateStore) snapshotIndex() uint64 {
	if m := s.meta(); m != nil {
		return m.index
	}
	return 0
}

// newGeneration returns a generation that was never used.
func (s *stateStore) newGeneration() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.staged++
	return s.mu.staged
}

// List implements raft.SnapshotStore.
func (s *stateStore) List() ([]*raft.SnapshotMeta, error) {
	m := s.meta()
	if m == nil {
		return nil, nil
	}
	return []*raft.SnapshotMeta{m.raftMeta()}, nil
}

// Open implements raft.SnapshotStore.
func (s *stateStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	r, err := newSnapshotReader(s.db, s.group)
	if err != nil {
		return nil, nil, fmt.Errorf("shard %d: open snapshot %s: %w", s.group, id, err)
	}
	if have := r.meta.id(); have != id {
		return nil, nil, errors.Join(fmt.Errorf("shard %d: open snapshot %s: %w: there is %s", s.group, id, ErrNoSnapshot, have), r.Close())
	}
	m := r.meta.raftMeta()
	if m.Size, err = r.size(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("shard %d: open snapshot %s: %w", s.group, id, err), r.Close())
	}
	return m, r, nil
}

// Create implements raft.SnapshotStore.
func (s *stateStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("%w: raft snapshot version %d", ErrUnknownVersion, version)
	}
	return &sink{s: s, meta: stateMeta{
		index: index, term: term, configIndex: configurationIndex, configuration: configuration.Clone(),
	}}, nil
}

// replace commits the batch, which makes meta the group's snapshot, unless that
// would replace a newer one, or one of another generation than expected.
func (s *stateStore) replace(batch *pebble.Batch, meta *stateMeta, expected uint64) error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if have, now := s.snapshotIndex(), s.generation(); have > meta.index || now != expected {
		return fmt.Errorf("shard %d: %w: index %d of generation %d is stored, %d of %d came",
			s.group, ErrStaleSnapshot, have, now, meta.index, expected)
	}
	if err := s.b.err(); err != nil {
		return err
	}
	if err := batch.Set(appendMetaKey(nil, s.group), appendStateMeta(nil, meta), nil); err != nil {
		return err
	}
	failpoint.Hit("raftfsm/state-commit")
	done := s.b.watch("storing a snapshot", snapshotTimeoutFactor*s.log.timeout)
	err := batch.Commit(pebble.Sync)
	done()
	if err != nil {
		err = fmt.Errorf("shard %d: store a snapshot: %w", s.group, err)
		s.b.trip(err)
		return err
	}
	failpoint.Hit("raftfsm/state-synced")
	s.mu.Lock()
	s.mu.meta = meta
	s.mu.Unlock()
	s.log.snapshotIndex.Store(meta.index)
	return nil
}

// snapshotTimeoutFactor is how many times as long as a log write a snapshot may take.
const snapshotTimeoutFactor = 6
