package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// recordVersion is the first byte of every value. FORMATS.md specifies it.
const recordVersion = 1

// recordKind is the first byte of every key.
type recordKind uint8

// The kinds, in the order in which records are written and read.
const (
	metaRecord   recordKind = 1
	namesRecord  recordKind = 2
	chunkRecord  recordKind = 3
	outboxRecord recordKind = 4
)

const (
	metaKeyBytes   = 1
	namesKeyBytes  = 1 + 4
	chunkKeyBytes  = 1 + 4 + 1 + 8
	outboxKeyBytes = 1 + 2 + 8

	checksumBytes = 4
	valueOverhead = 1 + checksumBytes

	metaFixedBytes = 2 + 2 + 4 + 4 + 4 + 8 + 8 + 8
	metaShardBytes = 3 * 8

	// namesPerRecord users share one record.
	namesPerRecord = 64

	queuedBytes = 12
)

func appendMetaKey(dst []byte) []byte { return append(dst, byte(metaRecord)) }

func appendNamesKey(dst []byte, block uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(namesRecord)), block)
}

func appendChunkKey(dst []byte, id chunkID) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, byte(chunkRecord)), id.owner>>1)
	return binary.BigEndian.AppendUint64(append(dst, byte(id.owner&1)), uint64(id.sep))
}

func appendOutboxKey(dst []byte, to shard.ID, block uint64) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, byte(outboxRecord)), uint16(to))
	return binary.BigEndian.AppendUint64(dst, block)
}

// parseChunkKey reverses appendChunkKey.
func parseChunkKey(key []byte) (id chunkID, err error) {
	if len(key) != chunkKeyBytes {
		return id, keyLengthError(key)
	}
	n, d := binary.BigEndian.Uint32(key[1:]), key[5]
	if n >= maxUsers || d > 1 {
		return id, fmt.Errorf("%w: user %d, direction %d", ErrCorrupt, n, d)
	}
	return chunkID{listOwner(n, direction(d)), neighbors.Key(binary.BigEndian.Uint64(key[6:]))}, nil
}

func keyLengthError(key []byte) error {
	return fmt.Errorf("%w: the key has %d bytes", ErrCorrupt, len(key))
}

// seal ends a value: the checksum covers the key too, so that a value under
// another's key is found out.
func seal(key, value []byte) []byte {
	return binary.LittleEndian.AppendUint32(value, recordChecksum(key, value))
}

func recordChecksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// unseal checks a value and returns its payload.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, fmt.Errorf("%w: the value is empty", ErrTruncated)
	}
	if value[0] != recordVersion {
		return nil, fmt.Errorf("%w: %d", ErrUnknownVersion, value[0])
	}
	if len(value) < valueOverhead {
		return nil, fmt.Errorf("%w: the value has %d bytes", ErrTruncated, len(value))
	}
	body := value[:len(value)-checksumBytes]
	if binary.LittleEndian.Uint32(value[len(body):]) != recordChecksum(key, body) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	return body[1:], nil
}

// meta is the payload of the meta record.
type meta struct {
	shard, shards uint16
	limit         uint32
	highest       uint32
	users         uint32
	edges         [2]uint64 // by direction
	edgeSum       uint64
	marks         []uint64 // by shard
	ranges        [][2]uint64
}

func (g *Graph) meta() meta {
	m := meta{
		shard:   uint16(g.shard),
		shards:  uint16(g.layout.Shards()),
		limit:   g.limit,
		highest: g.highest,
		users:   g.Users(),
		edges:   g.edges,
		edgeSum: g.edgeSum,
		marks:   g.marks,
	}
	for i := range g.outbox {
		m.ranges = append(m.ranges, [2]uint64{g.outbox[i].trimmed, g.outbox[i].last})
	}
	return m
}

func (m *meta) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, m.shard)
	dst = binary.LittleEndian.AppendUint16(dst, m.shards)
	dst = binary.LittleEndian.AppendUint32(dst, m.limit)
	dst = binary.LittleEndian.AppendUint32(dst, m.highest)
	dst = binary.LittleEndian.AppendUint32(dst, m.users)
	dst = binary.LittleEndian.AppendUint64(dst, m.edges[following])
	dst = binary.LittleEndian.AppendUint64(dst, m.edges[followers])
	dst = binary.LittleEndian.AppendUint64(dst, m.edgeSum)
	for s := range m.marks {
		dst = binary.LittleEndian.AppendUint64(dst, m.marks[s])
		dst = binary.LittleEndian.AppendUint64(dst, m.ranges[s][0])
		dst = binary.LittleEndian.AppendUint64(dst, m.ranges[s][1])
	}
	return dst
}

func parseMeta(p []byte) (m meta, err error) {
	if len(p) < metaFixedBytes {
		return m, fmt.Errorf("%w: the payload has %d bytes", ErrTruncated, len(p))
	}
	m.shard = binary.LittleEndian.Uint16(p)
	m.shards = binary.LittleEndian.Uint16(p[2:])
	m.limit = binary.LittleEndian.Uint32(p[4:])
	m.highest = binary.LittleEndian.Uint32(p[8:])
	m.users = binary.LittleEndian.Uint32(p[12:])
	m.edges[following] = binary.LittleEndian.Uint64(p[16:])
	m.edges[followers] = binary.LittleEndian.Uint64(p[24:])
	m.edgeSum = binary.LittleEndian.Uint64(p[32:])
	p = p[metaFixedBytes:]
	if want := int(m.shards) * metaShardBytes; len(p) < want {
		return m, fmt.Errorf("%w: %d bytes for %d shards", ErrTruncated, len(p), m.shards)
	} else if len(p) > want {
		return m, fmt.Errorf("%w: %d bytes for %d shards", ErrCorrupt, len(p), m.shards)
	}
	for ; len(p) > 0; p = p[metaShardBytes:] {
		m.marks = append(m.marks, binary.LittleEndian.Uint64(p))
		trimmed, last := binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:])
		m.ranges = append(m.ranges, [2]uint64{trimmed, last})
	}
	return m, nil
}

// appendQueued appends the stored form of an outbox item.
func appendQueued(dst []byte, q queued) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, q.sourceRemove)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(q.target))
	return binary.LittleEndian.AppendUint32(dst, q.time)
}

// parseQueued reads the item at the start of p, which has at least queuedBytes.
func parseQueued(p []byte) queued {
	return queued{
		sourceRemove: binary.LittleEndian.Uint32(p),
		target:       shard.UID(binary.LittleEndian.Uint32(p[4:])),
		time:         binary.LittleEndian.Uint32(p[8:]),
	}
}
