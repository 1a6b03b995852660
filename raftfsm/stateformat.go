package raftfsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// Kinds of keys in the state's Pebble, their first byte. FORMATS.md specifies keys and values.
const (
	stateKeyMeta   = 'M' // group → what the group's snapshot is
	stateKeyRecord = 'R' // group, generation, key of the engine → value of the engine
)

const (
	stateMetaVersion = 1
	recordKeyBytes   = 1 + 4 + 8 // in front of the engine's key
	firstGeneration  = 1
)

func appendMetaKey(dst []byte, group uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, stateKeyMeta), group)
}

// appendRecordPrefix appends what the keys of all records of a generation begin with.
func appendRecordPrefix(dst []byte, group uint32, generation uint64) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, stateKeyRecord), group)
	return binary.BigEndian.AppendUint64(dst, generation)
}

// stateMeta describes the one snapshot that a group has.
type stateMeta struct {
	// generation says under which prefix the records are. An installed snapshot is
	// staged under another generation and becomes the group's by a new meta.
	generation    uint64
	index, term   uint64
	configIndex   uint64
	configuration raft.Configuration
}

// id names the snapshot for hashicorp/raft.
func (m *stateMeta) id() string { return fmt.Sprintf("%d-%d", m.term, m.index) }

func (m *stateMeta) raftMeta() *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: 1, ID: m.id(), Index: m.index, Term: m.term,
		Configuration: m.configuration.Clone(), ConfigurationIndex: m.configIndex,
	}
}

func appendStateMeta(dst []byte, m *stateMeta) []byte {
	start := len(dst)
	dst = append(dst, stateMetaVersion)
	for _, v := range []uint64{m.generation, m.index, m.term, m.configIndex} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.configuration.Servers)))
	for _, s := range m.configuration.Servers {
		dst = append(dst, byte(s.Suffrage))
		dst = binary.AppendUvarint(dst, uint64(len(s.ID)))
		dst = append(dst, s.ID...)
		dst = binary.AppendUvarint(dst, uint64(len(s.Address)))
		dst = append(dst, s.Address...)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli()))
}

func decodeStateMeta(b []byte) (*stateMeta, error) {
	if len(b) < 1+4*8+1+4 {
		return nil, fmt.Errorf("%w: snapshot meta of %d bytes", ErrTruncated, len(b))
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli()) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: checksum of snapshot meta", ErrCorrupt)
	}
	r := reader{b: body}
	if v := r.u8(); v != stateMetaVersion {
		return nil, fmt.Errorf("%w: snapshot meta of version %d, known is %d", ErrUnknownVersion, v, stateMetaVersion)
	}
	m := &stateMeta{generation: r.u64(), index: r.u64(), term: r.u64(), configIndex: r.u64()}
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		s := raft.Server{Suffrage: raft.ServerSuffrage(r.u8())}
		s.ID = raft.ServerID(r.bytes(r.count(1)))
		s.Address = raft.ServerAddress(r.bytes(r.count(1)))
		m.configuration.Servers = append(m.configuration.Servers, s)
	}
	if r.err != nil {
		return nil, fmt.Errorf("snapshot meta: %w", r.err)
	}
	if len(r.b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the snapshot meta", ErrCorrupt, len(r.b))
	}
	return m, nil
}
