package neighbors

import (
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// loadBatch is how many uids are sorted at once to build a bitmap.
const loadBatch = 1 << 20

// FinishLoad derives the membership index after the last LoadChunk. It returns
// ErrCorrupt, wrapped, if a uid is in the list twice or the chunks are not those
// of a list of this length; the caller then drops the list.
func (p *Pool) FinishLoad(l *List) error {
	if l.tier() != tierBig {
		return p.finishSingle(l)
	}
	n := l.Len()
	if n <= p.options.BlockMax {
		return fmt.Errorf("%w: %d members in more than one chunk", ErrCorrupt, n)
	}
	b := p.bigs[l.ref()]
	if n > p.options.LeavesMax {
		b.bitmap = p.loadBitmap(b, n)
		if b.bitmap.GetCardinality() != uint64(n) {
			return fmt.Errorf("%w: a uid is there twice", ErrCorrupt)
		}
		return nil
	}
	uids := make([]uint32, 0, n)
	for i := range b.order.parts {
		uids = appendPayloads(b.order.at(&p.blocks, i), uids)
	}
	slices.Sort(uids)
	keys := uidKeys(uids)
	if !ascending(keys) {
		return fmt.Errorf("%w: a uid is there twice", ErrCorrupt)
	}
	b.index.fill(&p.blocks, keys)
	return nil
}

func (p *Pool) finishSingle(l *List) error {
	if l.Len() == 0 {
		return nil
	}
	uids := p.blocks.sortedUIDs(l.ref())
	if !ascending(uids) {
		return fmt.Errorf("%w: a uid is there twice", ErrCorrupt)
	}
	if len(uids) > p.options.ScanMax {
		*l = p.indexed(l.ref(), uids)
	}
	return nil
}

// loadBitmap builds a bitmap in batches: adding ascending uids is several times
// cheaper than adding them in the order of their times.
func (p *Pool) loadBitmap(b *big, n int) *roaring.Bitmap {
	m := roaring.New()
	uids := make([]uint32, 0, min(n, loadBatch+maxBlock))
	for i := range b.order.parts {
		uids = appendPayloads(b.order.at(&p.blocks, i), uids)
		if len(uids) >= loadBatch || i == len(b.order.parts)-1 {
			slices.Sort(uids)
			m.AddMany(uids)
			uids = uids[:0]
		}
	}
	return m
}

func appendPayloads(b block, dst []uint32) []uint32 {
	v := b.view()
	for i := range v.n {
		dst = append(dst, v.payload(i))
	}
	return dst
}
