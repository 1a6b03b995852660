package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

const (
	// lockSlice is after how many edge changes the write lock is let go, so that
	// readers wait for microseconds, not for a whole entry.
	lockSlice = 64
	// deliverSlice is how many items of a delivery are handed to the engine at
	// once. It is part of the state machine: where a delivery has an item that the
	// engine refuses, it decides how many before it are applied. It never changes.
	deliverSlice = 64
)

// fsm is the state machine of one shard: its graph, and how far the log is in it.
// It implements raft.BatchingFSM. Apply, Snapshot and Restore come from raft's one
// goroutine for the state machine; readers come from anywhere, under the read lock.
type fsm struct {
	options engine.Options
	state   *stateStore
	b       *breaker

	mu struct {
		sync.RWMutex
		graph      *engine.Graph
		applied    uint64 // index of the last entry in graph
		generation uint64 // of the records that graph differs from by what Freeze gives
		total      work   // applied since the start
		saved      work   // the part of total that is in the last snapshot
	}

	// Of raft's goroutine only.
	command Command // decoding scratch
	slice   int     // edge changes until the write lock is let go

	// grown is called after entries were applied. It must not block.
	grown func()
}

// work is an amount of what was applied, by which snapshots are triggered.
type work struct {
	changes uint64 // of edges
	bytes   uint64 // of entries
}

// openFSM loads the shard's graph from its snapshot.
func openFSM(o engine.Options, state *stateStore, b *breaker) (*fsm, error) {
	f := &fsm{options: o, state: state, b: b, grown: func() {}}
	r, err := newSnapshotReader(state.db, state.group)
	if errors.Is(err, ErrNoSnapshot) {
		f.mu.generation = firstGeneration
		f.mu.graph, err = engine.New(o)
		return f, err
	}
	if err == nil {
		err = errors.Join(f.load(r), r.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("shard %d: load the snapshot: %w", state.group, err)
	}
	return f, nil
}

// load replaces the graph by what the reader has.
func (f *fsm) load(r *snapshotReader) error {
	loader := engine.NewLoader(f.options)
	if err := r.each(loader.Add); err != nil {
		return err
	}
	graph, err := loader.Finish()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.graph, f.mu.applied, f.mu.generation = graph, r.meta.index, r.meta.generation
	f.mu.saved = f.mu.total
	return nil
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. Each command entry gets an *EntryResult.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	f.mu.Lock()
	f.slice = lockSlice
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			results[i] = f.applyEntry(l)
			f.mu.total.bytes += uint64(len(l.Data))
		}
		f.mu.applied = max(f.mu.applied, l.Index)
	}
	f.mu.Unlock()
	f.grown()
	return results
}

// applyEntry applies one entry under the write lock. An entry that cannot be
// decoded stops the node: to skip it could make replicas differ.
func (f *fsm) applyEntry(l *raft.Log) *EntryResult {
	if l.Index <= f.mu.applied {
		return &EntryResult{Index: l.Index, Err: ErrAlreadyApplied}
	}
	d, err := DecodeEntry(l.Data)
	result := &EntryResult{Index: l.Index}
	for more := true; more && err == nil; {
		if more, err = d.Next(&f.command); more {
			result.Results = append(result.Results, f.applyCommand(d.Time(), &f.command))
		}
	}
	if err != nil {
		f.mu.Unlock() // readers may go on
		f.b.stop(fmt.Errorf("shard %d: committed entry %d: %w", f.state.group, l.Index, err))
	}
	return result
}

// spend counts edge changes, and lets readers in when a slice is used up.
func (f *fsm) spend(changes int) {
	f.slice -= changes
	if f.slice <= 0 {
		f.mu.Unlock()
		f.mu.Lock()
		f.slice = lockSlice
	}
}

func (f *fsm) applyCommand(time uint32, c *Command) Result {
	switch c.Kind {
	case CommandRegister:
		return f.register(c)
	case CommandFollow, CommandUnfollow:
		return f.changeEdges(time, c)
	case CommandDeliver:
		return f.deliver(c)
	case CommandTrim:
		f.mu.graph.Trim(c.To, c.Applied)
	case CommandSettings:
		f.mu.graph.SetFollowingLimit(c.FollowingLimit)
	}
	return Result{}
}

func (f *fsm) register(c *Command) Result {
	r := Result{UIDs: make([]shard.UID, len(c.UserIDs))}
	for i, id := range c.UserIDs {
		uid, err := f.mu.graph.Register(id)
		if err != nil {
			uid = shard.NoUID
			if r.Err == nil {
				r.Err = err
			}
		}
		r.UIDs[i] = uid
		f.spend(1)
	}
	return r
}

func (f *fsm) changeEdges(time uint32, c *Command) Result {
	r := Result{Outcomes: make([]engine.Outcome, len(c.Targets)), Seqs: make([]uint64, len(c.Targets))}
	for i, target := range c.Targets {
		if c.Kind == CommandUnfollow {
			r.Outcomes[i], r.Seqs[i] = f.mu.graph.Unfollow(c.Me, target)
		} else {
			at := time
			if len(c.Times) > 0 && c.Times[i] != 0 {
				at = c.Times[i]
			}
			r.Outcomes[i], r.Seqs[i] = f.mu.graph.Follow(c.Me, target, at)
		}
		f.spend(1)
	}
	f.mu.total.changes += uint64(len(c.Targets))
	return r
}

func (f *fsm) deliver(c *Command) Result {
	var r Result
	first, items := c.First, c.Items
	for {
		n := min(len(items), deliverSlice)
		r.Applied, r.Err = f.mu.graph.Deliver(c.From, first, items[:n])
		f.spend(n)
		first, items = first+uint64(n), items[n:]
		if r.Err != nil || len(items) == 0 {
			break
		}
	}
	f.mu.total.changes += uint64(len(c.Items))
	return r
}

// Restore implements raft.FSM: it takes over a snapshot that was installed. What
// raft opened is one of our own store, which has no other, so its records need not
// pass through a stream. A failure stops the node: the store and the log are those of
// the snapshot by now, and must not go on with the graph of before.
func (f *fsm) Restore(rc io.ReadCloser) error {
	err := errors.Join(rc.Close(), f.catchUp())
	if err != nil {
		err = fmt.Errorf("shard %d: restore: %w", f.state.group, err)
		f.b.trip(err)
	}
	return err
}

// view calls read with the graph under the read lock.
func (f *fsm) view(read func(*engine.Graph)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	read(f.mu.graph)
}

// unsaved is what was applied since the last snapshot.
func (f *fsm) unsaved() work {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return work{changes: f.mu.total.changes - f.mu.saved.changes, bytes: f.mu.total.bytes - f.mu.saved.bytes}
}

// hasUnsaved says whether commands were applied since the last snapshot.
func (f *fsm) hasUnsaved() bool { return f.unsaved().bytes > 0 }

// catchUp loads the snapshot if one was installed that the graph is not made of.
func (f *fsm) catchUp() error {
	f.mu.RLock()
	generation := f.mu.generation
	f.mu.RUnlock()
	if generation == f.state.generation() {
		return nil
	}
	r, err := newSnapshotReader(f.state.db, f.state.group)
	if err != nil {
		return err
	}
	return errors.Join(f.load(r), r.Close())
}

func (f *fsm) applied() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.mu.applied
}
