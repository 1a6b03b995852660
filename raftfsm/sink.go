package raftfsm

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// stageBytes is how much of an installed snapshot is held in memory before it goes to Pebble.
const stageBytes = 1 << 20

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
// memtable goes around it; Pebble refuses one of 4 GiB, and the snapshot fails.
func (k *sink) persist(generation uint64, records func(emit func(key, value []byte) error) error) error {
	if k.closed || k.stream != nil {
		return fmt.Errorf("%w: the sink is in use", ErrStaleSnapshot)
	}
	batch := k.s.db.NewBatch()
	prefix := appendRecordPrefix(nil, k.s.group, generation)
	err := records(func(key, value []byte) error { return setRecord(batch, prefix, key, value) })
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
		return errors.Join(err, k.Cancel())
	}
	k.closed = true // nothing can be cancelled any more
	diverged, err := k.s.log.adoptSnapshot(k.meta.index, k.meta.term)
	if err != nil {
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
