package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Keys by which hashicorp/raft knows its stable values.
const (
	stableCurrentTerm = "CurrentTerm"
	stableVoteTerm    = "LastVoteTerm"
	stableVoteCand    = "LastVoteCand"
)

// stableState caches what raft asks for. raft writes a vote in two steps, term
// and candidate; a crash between them would let the node vote twice. So the term
// is held back until the candidate comes, and both are stored as one value.
type stableState struct {
	mu struct {
		sync.Mutex
		term        uint64
		termKnown   bool
		vote        vote
		voteKnown   bool
		pendingTerm uint64 // of a vote whose candidate has not come yet
	}
}

func (s *logStore) readStable() error {
	st := &s.stable.mu
	b, err := s.getStable(appendStableKey(nil, s.group, []byte(stableCurrentTerm)))
	switch {
	case err == nil && len(b) != 8:
		return fmt.Errorf("%w: the term has %d bytes", ErrCorrupt, len(b))
	case err == nil:
		st.term, st.termKnown = binary.BigEndian.Uint64(b), true
	case !errors.Is(err, errNotFound):
		return err
	}
	b, err = s.getStable(appendVoteKey(nil, s.group))
	if err == nil {
		if st.vote, err = decodeVote(b); err != nil {
			return err
		}
		st.voteKnown = true
	} else if !errors.Is(err, errNotFound) {
		return err
	}
	return nil
}

func (s *logStore) getStable(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), v...), closer.Close()
}

// setStable stores a value durably and then raises the mark. raft panics when it
// cannot store its term or vote, so a failure parks its main loop instead.
func (s *logStore) setStable(key, value []byte, raise func(*mark)) {
	if s.b.err() != nil {
		s.b.park()
	}
	done := s.b.watch("storing a term or vote", s.timeout)
	err := s.db.Set(key, value, pebble.Sync)
	if err == nil && raise != nil {
		err = s.guard.update(s.group, raise)
	}
	done()
	if err != nil {
		s.b.stop(fmt.Errorf("shard %d: store a term or vote: %w", s.group, err))
	}
}

// nobody is whom a lost vote is taken to have been for. It is no node's address.
const nobody = "?"

// restoreStable stores a term and a vote again that the disk lost. For whom the
// vote was is not known: as one for nobody, it keeps raft from a second in its term.
func (s *logStore) restoreStable(promised mark) error {
	st := &s.stable.mu
	st.Lock()
	term, voteTerm := st.term, st.vote.term
	st.Unlock()
	if term < promised.term {
		if err := s.SetUint64([]byte(stableCurrentTerm), promised.term); err != nil {
			return err
		}
	}
	if voteTerm >= promised.voteTerm {
		return nil
	}
	if err := s.SetUint64([]byte(stableVoteTerm), promised.voteTerm); err != nil {
		return err
	}
	return s.Set([]byte(stableVoteCand), []byte(nobody))
}

// Set implements raft.StableStore.
func (s *logStore) Set(key, value []byte) error {
	if string(key) != stableVoteCand {
		s.setStable(appendStableKey(nil, s.group, key), value, nil)
		return nil
	}
	st := &s.stable.mu
	st.Lock()
	v := vote{term: st.pendingTerm, candidate: append([]byte(nil), value...)}
	if v.term == 0 {
		v.term = st.vote.term
	}
	st.Unlock()
	s.setStable(appendVoteKey(nil, s.group), appendVote(nil, v), func(m *mark) { m.voteTerm = max(m.voteTerm, v.term) })
	st.Lock()
	st.vote, st.voteKnown, st.pendingTerm = v, true, 0
	st.Unlock()
	return nil
}

// Get implements raft.StableStore.
func (s *logStore) Get(key []byte) ([]byte, error) {
	if string(key) != stableVoteCand {
		return s.getStable(appendStableKey(nil, s.group, key))
	}
	st := &s.stable.mu
	st.Lock()
	defer st.Unlock()
	if !st.voteKnown {
		return nil, errNotFound
	}
	return append([]byte(nil), st.vote.candidate...), nil
}

// SetUint64 implements raft.StableStore.
func (s *logStore) SetUint64(key []byte, value uint64) error {
	st := &s.stable.mu
	switch string(key) {
	case stableVoteTerm:
		st.Lock()
		defer st.Unlock()
		st.pendingTerm = value
	case stableCurrentTerm:
		s.setStable(appendStableKey(nil, s.group, key), binary.BigEndian.AppendUint64(nil, value),
			func(m *mark) { m.term = max(m.term, value) })
		st.Lock()
		st.term, st.termKnown = value, true
		st.Unlock()
	default:
		s.setStable(appendStableKey(nil, s.group, key), binary.BigEndian.AppendUint64(nil, value), nil)
	}
	return nil
}

// GetUint64 implements raft.StableStore.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	st := &s.stable.mu
	switch string(key) {
	case stableVoteTerm:
		st.Lock()
		defer st.Unlock()
		if !st.voteKnown {
			return 0, errNotFound
		}
		return st.vote.term, nil
	case stableCurrentTerm:
		st.Lock()
		defer st.Unlock()
		if !st.termKnown {
			return 0, errNotFound
		}
		return st.term, nil
	}
	b, err := s.getStable(appendStableKey(nil, s.group, key))
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: stable value %q has %d bytes, not 8", ErrCorrupt, key, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}
