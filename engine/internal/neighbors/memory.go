package neighbors

import "unsafe"

// MemoryStats are the bytes that a pool holds. The handles, 8 bytes a list, are
// the caller's.
type MemoryStats struct {
	SlabBytes     uint64 // pages of slots, used or not
	SlabUsedBytes uint64 // slots in use, of SlabBytes
	BigBytes      uint64 // directories of lists above Options.BlockMax members
	BitmapBytes   uint64 // indexes of lists above Options.LeavesMax members
}

// Total is all bytes.
func (m MemoryStats) Total() uint64 { return m.SlabBytes + m.BigBytes + m.BitmapBytes }

// MemoryBytes measures the pool. It visits all big lists.
func (p *Pool) MemoryBytes() MemoryStats {
	s := &p.blocks.slab
	m := MemoryStats{
		SlabBytes:     uint64(s.held)*pageWords*wordBytes + uint64(cap(s.pages))*uint64(unsafe.Sizeof(slabPage{})) + uint64(cap(s.empty))*4,
		SlabUsedBytes: uint64(s.words) * wordBytes,
		BigBytes:      uint64(cap(p.bigs))*uint64(unsafe.Sizeof((*big)(nil))) + uint64(cap(p.freeBigs))*4,
	}
	for _, b := range p.bigs {
		if b == nil {
			continue
		}
		parts := cap(b.order.parts) + cap(b.index.parts)
		m.BigBytes += uint64(unsafe.Sizeof(big{})) + uint64(parts)*uint64(unsafe.Sizeof(part{}))
		if b.bitmap != nil {
			m.BitmapBytes += b.bitmap.GetSizeInBytes()
		}
	}
	return m
}
