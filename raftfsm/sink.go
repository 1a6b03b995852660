package raftfsm

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// stageBytes is how much of an installed snapshot is held in memory before it goes to Pebble.
	stageBytes = 1 << 20
	// maxPersistBytes bounds the batch of a local snapshot, which is held in memory.
	// Pebble panics at 4 GiB, to which a batch above the half would grow its buffer.
	maxPersistBytes = 2 << 30
)

// sink takes one snapshot. A local one comes by persist, from the state machine
// next door. One from another node comes as a stream by Write, is staged under
// an unused generation as it comes, and becomes the group's at Close.
type sink struct {
	s    *stateStore
	meta stateMeta

	closed    bool
	persisted bool
	stream    *streamDecoder // nil until the first Write
	batch     *pebble.Batch
}

// ID implements raft.SnapshotSink.
func (k *sink) ID() string { return k.meta.id() }

// persist stores what changed since the last snapshot, in one batch, all of
// which is held in memory meanwhile. Its size is bounded by the shard's stored state,
// about ten bytes a follow, and by the triggers of snapshots. A batch larger than the
// memtable goes around it; one above maxPersistBytes is ErrSnapshotTooLarge.
func (k *sink) persist(generation uint64, records func(emit func(key, value []byte) error) error) error {
	if k.closed || k.stream != nil {
		return fmt.Errorf("%w: the sink is in use", ErrStaleSnapshot)
	}
	batch := k.s.db.NewBatch()
	prefix := appendRecordPrefix(nil, k.s.group, generation)
	err := records(func(key, value []byte) error {
		if batch.Len()+len(prefix)+len(key)+len(value) > k.s.maxPersistBytes {
			return fmt.Errorf("shard %d: %w: what changed since the last one has more than %d bytes",
				k.s.group, ErrSnapshotTooLarge, k.s.maxPersistBytes)
		}
		return setRecord(batch, prefix, key, value)
	})
	if err == nil {
		k.meta.generation = generation
		meta := k.meta
		err = k.s.replace(batch, &meta, generation)
	}
	k.persisted = err == nil
	return errors.Join(err, batch.Close())
}

// setRecord sets a record, or deletes it if the value is nil.
func setRecord(batch *pebble.Batch, prefix, key, value []byte) error {
	if value == nil {
		op := batch.DeleteDeferred(len(prefix) + len(key))
		copy(op.Key[copy(op.Key, prefix):], key)
		return op.Finish()
	}
	op := batch.SetDeferred(len(prefix)+len(key), len(value))
	copy(op.Key[copy(op.Key, prefix):], key)
	copy(op.Value, value)
	return op.Finish()
}

// Write implements raft.SnapshotSink: a piece of another node's stream.
func (k *sink) Write(p []byte) (int, error) {
	if k.closed || k.persisted {
		return 0, fmt.Errorf("%w: the sink is in use", ErrStaleSnapshot)
	}
	if k.stream == nil {
		k.meta.generation = k.s.newGeneration()
		k.batch = k.s.db.NewBatch()
		k.stream = newStreamDecoder(k.meta.index, k.meta.term, k.stage)
	}
	return k.stream.Write(p)
}

func (k *sink) stage(key, value []byte) error {
	if k.batch.Len() > stageBytes {
		if err := k.batch.Commit(pebble.NoSync); err != nil {
			return err
		}
		k.batch.Reset()
	}
	return setRecord(k.batch, appendRecordPrefix(nil, k.s.group, k.meta.generation), key, value)
}

// Close implements raft.SnapshotSink. It makes a stream that came whole the
// group's snapshot and lets the log agree with it.
//
// The stream's checksum says that the records are the sender's, not that they make
// a graph: that shows in Restore, whose failure ends the node. To ask a Loader here
// would hold a second graph in memory only to learn of it a moment earlier.
func (k *sink) Close() error {
	if k.closed {
		return nil
	}
	if k.stream == nil {
		k.closed = true
		if !k.persisted {
			return fmt.Errorf("shard %d: a snapshot was closed before anything came: %w", k.s.group, ErrTruncated)
		}
		return nil
	}
	if err := k.stream.finish(); err != nil {
		return errors.Join(err, k.Cancel())
	}
	if err := k.install(); err != nil {
		return errors.Join(err, k.Cancel()) // which does nothing once the switch was made
	}
	diverged, err := k.s.log.adoptSnapshot(k.meta.index, k.meta.term)
	if err != nil {
		return err
	}
	if err := k.s.log.raise(k.meta.index); err != nil { // the leader may count on it from now on
		return err
	}
	k.s.log.checkBehind()
	if diverged {
		k.s.diverged()
	}
	return nil
}

// install switches to the staged generation. The old one goes in the same batch.
func (k *sink) install() error {
	old := k.s.generation()
	err := k.batch.DeleteRange(appendRecordPrefix(nil, k.s.group, old), appendRecordPrefix(nil, k.s.group, old+1), nil)
	if err != nil {
		return err
	}
	meta := k.meta
	if err := k.s.replace(k.batch, &meta, old); err != nil {
		return err
	}
	k.closed = true // what was staged is live: it must not be deleted any more
	return k.batch.Close()
}

// Cancel implements raft.SnapshotSink: what was staged is forgotten.
func (k *sink) Cancel() error {
	if k.closed {
		return nil
	}
	k.closed = true
	if k.stream == nil {
		return nil
	}
	low := appendRecordPrefix(nil, k.s.group, k.meta.generation)
	high := appendRecordPrefix(nil, k.s.group, k.meta.generation+1)
	return errors.Join(k.batch.Close(), k.s.db.DeleteRange(low, high, pebble.NoSync))
}
