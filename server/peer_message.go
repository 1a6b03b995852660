package server

import (
	"encoding/binary"
	"fmt"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// The message by which a courier delivers a part of an outbox to the leader of
// the destination, little endian:
//
//	offset  size  field
//	0       1     version, 1
//	1       1     kind, 1: deliver
//	2       2     shard that the items come from
//	4       2     shard that they are for
//	6       2     number of items, 1 to 4,096
//	8       8     number of the first item in its stream, from 1
//	16      13×n  items: 1 byte flags (bit 0: the edge ends), then 4 bytes each of
//	              source uid, target uid and follow time in seconds since 1970
//
// There is no checksum here: the transport between nodes has one a frame. The
// answer is the number of the last item applied in the destination.
const (
	peerVersion     = 1
	peerKindDeliver = 1
	peerHeaderBytes = 16
	peerItemBytes   = 13
	// maxPeerItems bounds a message to 53 KiB and fits any log entry.
	maxPeerItems = 4096

	peerItemRemove = 1
)

// peerDeliver is a part of the stream of changes from one shard to another.
type peerDeliver struct {
	From, To shard.ID
	First    uint64
	Items    []engine.Item
}

func (m *peerDeliver) append(dst []byte) []byte {
	dst = append(dst, peerVersion, peerKindDeliver)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(m.From))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(m.To))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Items)))
	dst = binary.LittleEndian.AppendUint64(dst, m.First)
	for i := range m.Items {
		item := &m.Items[i]
		var flags byte
		if item.Remove {
			flags = peerItemRemove
		}
		dst = append(dst, flags)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(item.Source))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(item.Target))
		dst = binary.LittleEndian.AppendUint32(dst, item.Time)
	}
	return dst
}

// decode reads a whole message. It accepts only what append makes of a message
// that can be meant; what it allocates is bounded by len(b).
func (m *peerDeliver) decode(b []byte) error {
	if len(b) < 1 {
		return errPeerMessageTruncated
	}
	if b[0] != peerVersion {
		return fmt.Errorf("%w: %d, known is %d", errPeerMessageVersion, b[0], peerVersion)
	}
	if len(b) < peerHeaderBytes {
		return errPeerMessageTruncated
	}
	count := int(binary.LittleEndian.Uint16(b[6:]))
	first := binary.LittleEndian.Uint64(b[8:])
	switch {
	case b[1] != peerKindDeliver:
		return fmt.Errorf("%w: kind %d", errPeerMessageCorrupt, b[1])
	case count == 0 || count > maxPeerItems:
		return fmt.Errorf("%w: %d items", errPeerMessageCorrupt, count)
	case first == 0 || first+uint64(count) < first:
		return fmt.Errorf("%w: first item %d", errPeerMessageCorrupt, first)
	}
	m.From = shard.ID(binary.LittleEndian.Uint16(b[2:]))
	m.To = shard.ID(binary.LittleEndian.Uint16(b[4:]))
	m.First = first
	return m.decodeItems(b[peerHeaderBytes:], count)
}

func (m *peerDeliver) decodeItems(b []byte, count int) error {
	if len(b) < count*peerItemBytes {
		return errPeerMessageTruncated
	}
	if len(b) > count*peerItemBytes {
		return fmt.Errorf("%w: %d bytes behind the last item", errPeerMessageCorrupt, len(b)-count*peerItemBytes)
	}
	m.Items = make([]engine.Item, count)
	for i := range m.Items {
		item := b[i*peerItemBytes:]
		if item[0]&^peerItemRemove != 0 {
			return fmt.Errorf("%w: flags %#x of item %d", errPeerMessageCorrupt, item[0], i)
		}
		m.Items[i] = engine.Item{
			Remove: item[0]&peerItemRemove != 0,
			Source: shard.UID(binary.LittleEndian.Uint32(item[1:])),
			Target: shard.UID(binary.LittleEndian.Uint32(item[5:])),
			Time:   binary.LittleEndian.Uint32(item[9:]),
		}
	}
	return nil
}

// check refuses a message that is not for the shard that got it, or that names
// users who do not live where the message claims.
func (m *peerDeliver) check(layout shard.Layout, receiver shard.ID) error {
	shards := shard.ID(layout.Shards())
	if m.To != receiver || m.From >= shards || m.To >= shards || m.From == m.To {
		return fmt.Errorf("%w: from shard %d to %d, received by %d", errPeerMessageMisdirected, m.From, m.To, receiver)
	}
	for i := range m.Items {
		source, target := m.Items[i].Source, m.Items[i].Target
		if source == shard.NoUID || target == shard.NoUID ||
			layout.HomeOf(source) != m.From || layout.HomeOf(target) != m.To {
			return fmt.Errorf("%w: item %d names users %d and %d", errPeerMessageMisdirected, i, source, target)
		}
	}
	return nil
}
