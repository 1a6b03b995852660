package raftfsm

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/internal/failpoint"
)

// freezeSlice is how many records are encoded under one hold of the write lock.
const freezeSlice = 8

// fsmSnapshot is the graph as of one entry, on its way to the state store.
// Entries go on being applied meanwhile: the engine saves what they are about to change.
type fsmSnapshot struct {
	f          *fsm
	frozen     *engine.Frozen
	generation uint64
	committed  bool
	total      work // that is in it
}

// Snapshot implements raft.FSM. It takes time independent of the graph's size.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	failpoint.Hit("raftfsm/freeze")
	f.mu.Lock()
	defer f.mu.Unlock()
	return &fsmSnapshot{f: f, frozen: f.mu.graph.Freeze(), generation: f.mu.generation, total: f.mu.total}, nil
}

// Persist implements raft.FSMSnapshot.
func (s *fsmSnapshot) Persist(to raft.SnapshotSink) error {
	k, ok := to.(*sink)
	if !ok {
		return fmt.Errorf("%w: cannot persist to a %T", ErrNoSnapshot, to)
	}
	if err := k.persist(s.generation, s.records); err != nil {
		return err
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.frozen.Commit()
	s.committed = true
	if s.generation == s.f.mu.generation { // else an installed snapshot has overtaken this one
		s.f.mu.saved = s.total
	}
	return nil
}

// records hands out everything frozen, a slice at a time, so that neither
// readers nor entries wait for long.
func (s *fsmSnapshot) records(emit func(key, value []byte) error) error {
	for {
		s.f.mu.Lock()
		more, err := s.frozen.Next(freezeSlice, emit)
		s.f.mu.Unlock()
		if err != nil || !more {
			return err
		}
	}
}

// Release implements raft.FSMSnapshot. What was not stored is left for the next snapshot.
func (s *fsmSnapshot) Release() {
	if s.committed {
		return
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.frozen.Abort()
}
