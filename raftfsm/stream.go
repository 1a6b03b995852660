package raftfsm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// The snapshot stream is what a leader sends to a replica that its log no longer
// reaches: a header, one frame a record, a trailer. FORMATS.md specifies it.
const (
	streamMagic        = "KITHSNAP"
	streamVersion      = 1
	streamHeaderBytes  = 8 + 4 + 8 + 8
	streamFrameBytes   = 4 + 4
	streamTrailerBytes = 4 + 8 + 8
	streamEnd          = ^uint32(0)

	// maxStreamKeyBytes and maxStreamValueBytes bound what a frame may claim.
	maxStreamKeyBytes   = 1 << 10
	maxStreamValueBytes = 16 << 20
)

func appendStreamHeader(dst []byte, index, term uint64) []byte {
	dst = append(dst, streamMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, streamVersion)
	dst = binary.LittleEndian.AppendUint64(dst, index)
	return binary.LittleEndian.AppendUint64(dst, term)
}

func appendStreamFrame(dst, key, value []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(key)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(value)))
	dst = append(dst, key...)
	return append(dst, value...)
}

// appendStreamTrailer ends a stream: the number of records, and the xxhash64 of all bytes before the hash.
func appendStreamTrailer(dst []byte, records uint64) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, streamEnd)
	return binary.LittleEndian.AppendUint64(dst, records)
}

// streamDecoder takes a stream in pieces of any size and hands out its records.
// It keeps at most one frame, and grows with what has come, never with what is claimed.
type streamDecoder struct {
	index, term uint64 // what the header must say
	emit        func(key, value []byte) error

	buf     []byte
	hash    xxhash.Digest
	begun   bool
	ended   bool
	records uint64
	lastKey []byte
}

func newStreamDecoder(index, term uint64, emit func(key, value []byte) error) *streamDecoder {
	d := &streamDecoder{index: index, term: term, emit: emit}
	d.hash.Reset()
	return d
}

// Write implements io.Writer. After an error the stream is lost.
func (d *streamDecoder) Write(p []byte) (int, error) {
	d.buf = append(d.buf, p...)
	rest := d.buf
	for {
		n, err := d.step(rest)
		if err != nil {
			return 0, fmt.Errorf("snapshot stream, record %d: %w", d.records, err)
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	if len(rest) < len(d.buf) {
		d.buf = append(d.buf[:0], rest...)
	}
	return len(p), nil
}

// finish returns an error unless the stream came to its end.
func (d *streamDecoder) finish() error {
	if !d.ended {
		return fmt.Errorf("snapshot stream after %d records: %w", d.records, ErrTruncated)
	}
	return nil
}

// step handles one whole part at the front of b and returns its length, or 0 if it is not whole yet.
func (d *streamDecoder) step(b []byte) (int, error) {
	switch {
	case d.ended:
		if len(b) > 0 {
			return 0, fmt.Errorf("%w: bytes after the trailer", ErrCorrupt)
		}
		return 0, nil
	case !d.begun:
		return d.header(b)
	case len(b) < 4:
		return 0, nil
	case binary.LittleEndian.Uint32(b) == streamEnd:
		return d.trailer(b)
	}
	return d.frame(b)
}

func (d *streamDecoder) header(b []byte) (int, error) {
	if len(b) < streamHeaderBytes {
		return 0, nil
	}
	if string(b[:8]) != streamMagic {
		return 0, fmt.Errorf("%w: bad magic", ErrCorrupt)
	}
	r := reader{b: b[8:]}
	if v := r.u32(); v != streamVersion {
		return 0, fmt.Errorf("%w: %d, known is %d", ErrUnknownVersion, v, streamVersion)
	}
	if index, term := r.u64(), r.u64(); index != d.index || term != d.term {
		return 0, fmt.Errorf("%w: stream of index %d, term %d, announced were %d, %d", ErrCorrupt, index, term, d.index, d.term)
	}
	d.begun = true
	return streamHeaderBytes, d.absorb(b[:streamHeaderBytes])
}

func (d *streamDecoder) frame(b []byte) (int, error) {
	if len(b) < streamFrameBytes {
		return 0, nil
	}
	keyBytes, valueBytes := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if keyBytes > maxStreamKeyBytes || valueBytes > maxStreamValueBytes {
		return 0, fmt.Errorf("%w: key of %d, value of %d bytes", ErrCorrupt, keyBytes, valueBytes)
	}
	n := streamFrameBytes + int(keyBytes) + int(valueBytes)
	if len(b) < n {
		return 0, nil
	}
	key, value := b[streamFrameBytes:streamFrameBytes+keyBytes], b[streamFrameBytes+keyBytes:n]
	if d.records > 0 && bytes.Compare(key, d.lastKey) <= 0 {
		return 0, fmt.Errorf("%w: keys do not ascend", ErrCorrupt)
	}
	d.lastKey = append(d.lastKey[:0], key...)
	d.records++
	if err := d.absorb(b[:n]); err != nil {
		return 0, err
	}
	return n, d.emit(key, value)
}

func (d *streamDecoder) trailer(b []byte) (int, error) {
	if len(b) < streamTrailerBytes {
		return 0, nil
	}
	if err := d.absorb(b[:12]); err != nil {
		return 0, err
	}
	if n := binary.LittleEndian.Uint64(b[4:]); n != d.records {
		return 0, fmt.Errorf("%w: %d records, the trailer says %d", ErrCorrupt, d.records, n)
	}
	if binary.LittleEndian.Uint64(b[12:]) != d.hash.Sum64() {
		return 0, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	d.ended = true
	return streamTrailerBytes, nil
}

func (d *streamDecoder) absorb(b []byte) error {
	_, err := d.hash.Write(b)
	return err
}
