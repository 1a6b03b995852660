package neighbors

import "github.com/RoaringBitmap/roaring/v2"

// mergeRatio is how many times as many members as probes a block may have for
// decoding and merging it to be cheaper than searching it once a probe.
const mergeRatio = 10

// AndCount counts the members common to a and b.
func (p *Pool) AndCount(a, b List) int {
	if x, y := p.bitmap(a), p.bitmap(b); x != nil && y != nil {
		return int(x.AndCardinality(y))
	}
	n := 0
	var batch [maxBlock]Key
	for c := p.andOf(a, b); c.more(); {
		n += len(c.next(&batch))
	}
	return n
}

// And appends the uids common to a and b in ascending order. It allocates only
// if both have a bitmap.
func (p *Pool) And(a, b List, dst []uint32) []uint32 {
	if x, y := p.bitmap(a), p.bitmap(b); x != nil && y != nil {
		it := roaring.And(x, y).Iterator()
		for it.HasNext() {
			dst = append(dst, it.Next())
		}
		return dst
	}
	var batch [maxBlock]Key
	for c := p.andOf(a, b); c.more(); {
		for _, k := range c.next(&batch) {
			dst = append(dst, k.Time())
		}
	}
	return dst
}

// bitmap is the index of a list above Options.LeavesMax, else nil.
func (p *Pool) bitmap(l List) *roaring.Bitmap {
	if l.tier() != tierBig {
		return nil
	}
	return p.bigs[l.ref()].bitmap
}

// intersection visits what two lists have in common, block by block of the one
// without a bitmap, or of the smaller one.
type intersection struct {
	p              *Pool
	source, filter List
	part, parts    int // of the source
}

func (p *Pool) andOf(a, b List) intersection {
	if p.bitmap(a) != nil || p.bitmap(b) == nil && a.Len() > b.Len() {
		a, b = b, a
	}
	return intersection{p: p, source: a, filter: b, parts: p.indexBlocks(a)}
}

func (c *intersection) more() bool { return c.part < c.parts && c.filter.Len() > 0 }

// next gives the common members of the source's next block as ascending index
// keys, in batch. It is no field, so that batch stays on the caller's stack.
func (c *intersection) next(batch *[maxBlock]Key) []Key {
	keys := c.p.indexKeys(c.source, c.part, batch)
	c.part++
	return c.p.retain(c.filter, keys)
}

// indexBlocks is the number of blocks that indexKeys can give of a list without a bitmap.
func (p *Pool) indexBlocks(l List) int {
	if l.tier() == tierBig {
		return len(p.bigs[l.ref()].index.parts)
	}
	return min(l.Len(), 1)
}

// indexKeys gives the uids of one index block, or of the order block of a list
// without an index, as ascending index keys.
func (p *Pool) indexKeys(l List, part int, batch *[maxBlock]Key) []Key {
	var v view
	switch l.tier() {
	case tierScanned:
		v = p.blocks.at(l.ref(), 0).view()
		v.uids(batch[:v.n])
		return batch[:v.n]
	case tierIndexed:
		v = p.blocks.at(l.ref(), indexPrefix).view()
	default:
		v = p.bigs[l.ref()].index.at(&p.blocks, part).view()
	}
	v.heads(0, v.n, batch[:], 0, 1)
	return batch[:v.n]
}

// retain keeps of some ascending index keys, in place, those of members.
func (p *Pool) retain(l List, keys []Key) []Key {
	switch l.tier() {
	case tierScanned:
		v := p.blocks.at(l.ref(), 0).view()
		kept := keys[:0]
		for _, k := range keys {
			if v.rankOf(k.Time()) >= 0 {
				kept = append(kept, k)
			}
		}
		return kept
	case tierIndexed:
		return retainInBlock(p.blocks.at(l.ref(), indexPrefix), keys[:0], keys)
	}
	b := p.bigs[l.ref()]
	if b.bitmap != nil {
		return retainInBitmap(b.bitmap, keys)
	}
	return b.index.retain(&p.blocks, keys)
}

func retainInBitmap(m *roaring.Bitmap, keys []Key) []Key {
	kept := keys[:0]
	for _, k := range keys {
		if m.Contains(k.Time()) {
			kept = append(kept, k)
		}
	}
	return kept
}

func (q *sequence) retain(s *store, keys []Key) []Key {
	kept := keys[:0]
	for len(keys) > 0 {
		i := q.find(keys[0])
		n := len(keys)
		if i+1 < len(q.parts) {
			n = countBelow(keys, q.parts[i+1].sep)
		}
		kept = retainInBlock(q.at(s, i), kept, keys[:n])
		keys = keys[n:]
	}
	return kept
}

// countBelow counts the leading keys less than bound; the first one is.
func countBelow(keys []Key, bound Key) int {
	n := 1
	for n < len(keys) && keys[n] < bound {
		n++
	}
	return n
}

// retainInBlock appends to kept, which may share memory with keys before them,
// the ascending keys that are in an index block.
func retainInBlock(b block, kept, keys []Key) []Key {
	v := b.view()
	if len(keys)*mergeRatio < v.n {
		for _, k := range keys {
			if _, found := v.search(k); found {
				kept = append(kept, k)
			}
		}
		return kept
	}
	var members [maxBlock]Key
	v.heads(0, v.n, members[:], 0, 1)
	i := 0
	for _, k := range keys {
		for i < v.n && members[i&(maxBlock-1)] < k {
			i++
		}
		if i == v.n {
			break
		}
		if members[i&(maxBlock-1)] == k {
			kept = append(kept, k)
		}
	}
	return kept
}
