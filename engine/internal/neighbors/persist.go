package neighbors

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The stored form of a chunk is its block packed tightly: the words of a block
// whose base is its first head, whose capacity is its number of members and whose
// widths are those of shapeOf, each word as 8 bytes, little endian. Equal chunks
// have equal stored forms whatever their history, and anything else is corrupt.

const wordBytes = 8

// ChunkAt appends the stored form of the chunk with a separator; false: there is
// no such chunk.
func (p *Pool) ChunkAt(l List, sep Key, dst []byte) ([]byte, bool) {
	b, ok := p.chunkWith(l, sep)
	if !ok {
		return dst, false
	}
	var keys [maxBlock]Key
	var words [maxBlockWords]uint64
	v := b.view()
	v.keys(0, v.n, keys[:], 0, 1)
	for _, word := range packTight(keys[:v.n], &words) {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return dst, true
}

func packTight(keys []Key, words *[maxBlockWords]uint64) []uint64 {
	sh := shapeOf(keys)
	w := words[:sh.words()]
	sh.pack(w, keys, sh.n)
	return w
}

func (p *Pool) chunkWith(l List, sep Key) (block, bool) {
	i := 0
	if l.tier() == tierBig {
		q := &p.bigs[l.ref()].order
		if i = q.find(sep); q.parts[i].sep != sep {
			return nil, false
		}
	} else if l.Len() == 0 || sep != 0 {
		return nil, false
	}
	return p.chunk(l, i), true
}

// EachChunk calls f with the separators of a list in ascending order until f
// returns false.
func (p *Pool) EachChunk(l List, f func(sep Key) bool) {
	if l.tier() != tierBig {
		if l.Len() > 0 {
			f(0)
		}
		return
	}
	for _, pt := range p.bigs[l.ref()].order.parts {
		if !f(pt.sep) {
			return
		}
	}
}

// LoadChunk adds a stored chunk to a list that is being loaded: in ascending order
// of separators, the first being 0, nothing else in between, and FinishLoad after
// the last one. It returns ErrTruncated or ErrCorrupt, wrapped, and leaves the list
// as it was, for bytes that ChunkAt cannot have given; the caller then drops it.
func (p *Pool) LoadChunk(l *List, sep Key, stored []byte) error {
	keys, err := p.blocks.decodeStored(stored)
	if err != nil {
		return err
	}
	n := len(keys)
	if n > p.options.BlockMax || keys[0] < sep {
		return fmt.Errorf("%w: %d members from %x on in the chunk %x", ErrCorrupt, n, keys[0], sep)
	}
	if l.Len() == 0 {
		if sep != 0 {
			return fmt.Errorf("%w: first separator %x, not 0", ErrCorrupt, sep)
		}
		*l = slotList(tierScanned, p.blocks.create(keys, 0), n)
		return nil
	}
	last := p.chunk(*l, p.chunks(*l)-1).view()
	if last.key(last.n-1) >= sep {
		return fmt.Errorf("%w: the chunk before %x reaches beyond it", ErrCorrupt, sep)
	}
	p.appendChunk(l, sep, keys)
	return nil
}

// appendChunk adds an order block behind all others, without an index.
func (p *Pool) appendChunk(l *List, sep Key, keys []Key) {
	total := l.Len() + len(keys)
	if l.tier() != tierBig {
		b := &big{order: sequence{[]part{{0, l.ref()}}}}
		*l = bigList(p.newBig(b), total)
	}
	q := &p.bigs[l.ref()].order
	q.parts = append(q.parts, part{sep, p.blocks.create(keys, 0)})
	*l = bigList(l.ref(), total)
}

// decodeStored unpacks a stored chunk into scratch. It takes only what packing the
// keys anew would give again, which refuses every wrong header, width, order and
// stray bit.
func (s *store) decodeStored(stored []byte) ([]Key, error) {
	if len(stored) < 2*wordBytes || len(stored)%wordBytes != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTruncated, len(stored))
	}
	if len(stored) > maxBlockWords*wordBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(stored))
	}
	w := s.stored[:len(stored)/wordBytes]
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(stored[wordBytes*i:])
	}
	v := block(w).view()
	if v.n == 0 || v.n > maxBlock || v.capacity != v.n || v.width > 32 || v.low > 32 {
		return nil, fmt.Errorf("%w: header %x", ErrCorrupt, w[0])
	}
	if v.upperAt+uint(v.n) > 64*uint(len(w)) {
		return nil, fmt.Errorf("%w: %d bytes for %d members", ErrTruncated, len(stored), v.n)
	}
	if v.countOnes() != v.n {
		return nil, fmt.Errorf("%w: wrong number of members", ErrCorrupt)
	}
	keys := s.scratch[:v.n]
	v.keys(0, v.n, keys, 0, 1)
	if !ascending(keys) || !slices.Equal(packTight(keys, &s.again), w) {
		return nil, fmt.Errorf("%w: not packed as this package does", ErrCorrupt)
	}
	return keys, nil
}

func ascending(keys []Key) bool {
	for i := 1; i < len(keys); i++ {
		if keys[i-1] >= keys[i] {
			return false
		}
	}
	return true
}
