package raftfsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// Kinds of keys in the log's Pebble, their first byte. FORMATS.md specifies keys and values.
const (
	logKeyEntry  = 'E' // group, index → entry
	logKeyStable = 'S' // group, name → value
	logKeyVote   = 'V' // group → term and candidate
)

const (
	logKeyBytes        = 1 + 4 + 8
	logValueVersion    = 1
	logValueMinBytes   = 4 + 1 + 1 + 8 + 8 + 4
	noAppendTime       = int64(-1 << 63)
	maxExtensionsBytes = 64 << 10
)

// appendLogKey appends the key of an entry. Keys of a group sort by index.
func appendLogKey(dst []byte, group uint32, index uint64) []byte {
	dst = append(dst, logKeyEntry)
	dst = binary.BigEndian.AppendUint32(dst, group)
	return binary.BigEndian.AppendUint64(dst, index)
}

func appendStableKey(dst []byte, group uint32, name []byte) []byte {
	dst = append(dst, logKeyStable)
	dst = binary.BigEndian.AppendUint32(dst, group)
	return append(dst, name...)
}

func appendVoteKey(dst []byte, group uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, logKeyVote), group)
}

// logValueBytes is the size of an entry's value.
func logValueBytes(l *raft.Log) int { return logValueMinBytes + len(l.Extensions) + len(l.Data) }

// appendLogValue appends the value of an entry. Its checksum covers the key too,
// so that an entry under another's key is found out.
func appendLogValue(dst []byte, group uint32, l *raft.Log) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, logValueVersion, byte(l.Type))
	dst = binary.LittleEndian.AppendUint64(dst, l.Term)
	at := noAppendTime
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.Extensions)))
	dst = append(dst, l.Extensions...)
	dst = append(dst, l.Data...)
	binary.LittleEndian.PutUint32(dst[start:], logChecksum(group, l.Index, dst[start+4:]))
	return dst
}

func logChecksum(group uint32, index uint64, rest []byte) uint32 {
	var key [logKeyBytes]byte
	sum := crc32.Checksum(appendLogKey(key[:0], group, index), castagnoli())
	return crc32.Update(sum, castagnoli(), rest)
}

// decodeLogValue reads an entry's value. The entry does not alias it.
func decodeLogValue(value []byte, group uint32, index uint64, l *raft.Log) error {
	if len(value) < logValueMinBytes {
		return fmt.Errorf("%w: entry of %d bytes", ErrTruncated, len(value))
	}
	if binary.LittleEndian.Uint32(value) != logChecksum(group, index, value[4:]) {
		return fmt.Errorf("%w: checksum of entry", ErrCorrupt)
	}
	r := reader{b: value[4:]}
	if v := r.u8(); v != logValueVersion {
		return fmt.Errorf("%w: entry value of version %d, known is %d", ErrUnknownVersion, v, logValueVersion)
	}
	*l = raft.Log{Index: index, Type: raft.LogType(r.u8()), Term: r.u64()}
	if at := int64(r.u64()); at != noAppendTime {
		l.AppendedAt = time.Unix(0, at)
	}
	n := r.u32()
	if n > maxExtensionsBytes || int(n) > len(r.b) {
		return fmt.Errorf("%w: extensions of %d bytes", ErrCorrupt, n)
	}
	if n > 0 {
		l.Extensions = append([]byte(nil), r.b[:n]...)
	}
	l.Data = append([]byte(nil), r.b[n:]...)
	return nil
}

// vote is what a node voted for last, stored in one value so that a crash can
// never leave a term without its candidate.
type vote struct {
	term      uint64
	candidate []byte
}

func appendVote(dst []byte, v vote) []byte {
	dst = append(dst, logValueVersion)
	dst = binary.LittleEndian.AppendUint64(dst, v.term)
	return append(dst, v.candidate...)
}

func decodeVote(b []byte) (vote, error) {
	if len(b) < 9 {
		return vote{}, fmt.Errorf("%w: vote of %d bytes", ErrTruncated, len(b))
	}
	if b[0] != logValueVersion {
		return vote{}, fmt.Errorf("%w: vote of version %d, known is %d", ErrUnknownVersion, b[0], logValueVersion)
	}
	return vote{term: binary.LittleEndian.Uint64(b[1:]), candidate: append([]byte(nil), b[9:]...)}, nil
}
