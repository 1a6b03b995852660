package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
)

// snapshotReader reads a group's snapshot as it was when it was opened, whatever
// is stored meanwhile. It is either walked by each, or read as a stream.
type snapshotReader struct {
	meta    *stateMeta
	snap    *pebble.Snapshot
	it      *pebble.Iterator
	started bool

	buf     []byte // holds the part of the stream that is being read
	out     []byte // what is left of it
	hash    xxhash.Digest
	records uint64
	state   streamState
}

// streamState is how far a stream has been produced.
type streamState uint8

const (
	streamAtHeader streamState = iota
	streamAtRecords
	streamDone
)

// readMeta returns nil if the group has no snapshot.
func readMeta(r pebble.Reader, group uint32) (*stateMeta, error) {
	v, closer, err := r.Get(appendMetaKey(nil, group))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeStateMeta(v)
	if err != nil {
		err = fmt.Errorf("shard %d: %w", group, err)
	}
	return m, errors.Join(err, closer.Close())
}

// newSnapshotReader returns ErrNoSnapshot if the group has none.
func newSnapshotReader(db *pebble.DB, group uint32) (*snapshotReader, error) {
	r := &snapshotReader{snap: db.NewSnapshot()}
	r.hash.Reset()
	var err error
	if r.meta, err = readMeta(r.snap, group); err == nil && r.meta == nil {
		err = ErrNoSnapshot
	}
	if err == nil {
		r.it, err = r.snap.NewIter(&pebble.IterOptions{
			LowerBound: appendRecordPrefix(nil, group, r.meta.generation),
			UpperBound: appendRecordPrefix(nil, group, r.meta.generation+1),
		})
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// next moves to the next record.
func (r *snapshotReader) next() bool {
	if !r.started {
		r.started = true
		return r.it.First()
	}
	return r.it.Next()
}

// each calls f for every record in the order of their keys.
func (r *snapshotReader) each(f func(key, value []byte) error) error {
	for r.next() {
		value, err := r.it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(r.it.Key()[recordKeyBytes:], value); err != nil {
			return err
		}
	}
	return r.it.Error()
}

// size returns the exact length of the stream, which hashicorp/raft insists on.
func (r *snapshotReader) size() (int64, error) {
	n := int64(streamHeaderBytes + streamTrailerBytes)
	for ok := r.it.First(); ok; ok = r.it.Next() {
		value := r.it.LazyValue()
		n += int64(streamFrameBytes + len(r.it.Key()) - recordKeyBytes + value.Len())
	}
	r.started = false
	return n, r.it.Error()
}

// Read implements io.Reader: the snapshot as a stream.
func (r *snapshotReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.state == streamDone {
			return 0, io.EOF
		}
		if err := r.produce(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// produce puts the next part of the stream into out.
func (r *snapshotReader) produce() error {
	switch {
	case r.state == streamAtHeader:
		r.state = streamAtRecords
		r.buf = appendStreamHeader(r.buf[:0], r.meta.index, r.meta.term)
	case r.next():
		value, err := r.it.ValueAndErr()
		if err != nil {
			return err
		}
		r.records++
		r.buf = appendStreamFrame(r.buf[:0], r.it.Key()[recordKeyBytes:], value)
	default:
		if err := r.it.Error(); err != nil {
			return err
		}
		r.state = streamDone
		r.buf = appendStreamTrailer(r.buf[:0], r.records)
	}
	if _, err := r.hash.Write(r.buf); err != nil {
		return err
	}
	if r.state == streamDone {
		r.buf = binary.LittleEndian.AppendUint64(r.buf, r.hash.Sum64())
	}
	r.out = r.buf
	return nil
}

// Close implements io.Closer. It may be called again.
func (r *snapshotReader) Close() error {
	var err error
	if r.it != nil {
		err = r.it.Close()
		r.it = nil
	}
	if r.snap != nil {
		err = errors.Join(err, r.snap.Close())
		r.snap = nil
	}
	return err
}
