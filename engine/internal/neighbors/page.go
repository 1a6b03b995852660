package neighbors

import "slices"

// Before appends up to limit keys less than before, newest first. Fewer are
// appended only when there are no more.
func (p *Pool) Before(l List, before Key, dst []Key, limit int) []Key {
	for c := p.walkBefore(l, before); limit > 0 && c.next(); {
		v := &c.view
		lo := max(0, c.rank-limit)
		at := len(dst)
		dst = slices.Grow(dst, c.rank-lo)[:at+c.rank-lo]
		v.keys(lo, c.rank, dst, len(dst)-1, -1)
		limit -= c.rank - lo
	}
	return dst
}

// filterFrom is the length of an order from which on a filter pays for itself.
const filterFrom = 256 // members

// AndBefore appends up to limit keys of order less than before whose uids are
// members of other too, newest first. Fewer are appended only when there are no
// more. It walks order, so order should be the shorter one.
func (p *Pool) AndBefore(order, other List, before Key, dst []Key, limit int) []Key {
	if other.Len() == 0 {
		return dst
	}
	if order.Len() >= filterFrom && other.Len() <= 2*order.Len() && p.bitmap(other) == nil {
		var f uidFilter
		p.fillFilter(other, &f)
		return p.andBefore(order, other, &f, before, dst, limit)
	}
	return p.andBefore(order, other, nil, before, dst, limit)
}

func (p *Pool) andBefore(order, other List, f *uidFilter, before Key, dst []Key, limit int) []Key {
	var batch [64]Key
	for c := p.walkBefore(order, before); limit > 0 && c.next(); {
		for hi := c.rank; hi > 0; hi -= len(batch) {
			n := min(hi, len(batch))
			c.view.keys(hi-n, hi, batch[:], n-1, -1)
			for _, k := range batch[:n] {
				if f != nil && !f.mayHave(k.UID()) || !p.Contains(other, k.UID()) {
					continue
				}
				dst = append(dst, k)
				if limit--; limit == 0 {
					return dst
				}
			}
		}
	}
	return dst
}

// uidFilter has a bit for each value of a uid's low 15 bits: uids are dense, so
// that is as good as a hash. 4,096 members fill an eighth of it.
type uidFilter [512]uint64

func (f *uidFilter) mayHave(uid uint32) bool {
	return f[uid>>6&511]>>(uid&63)&1 != 0
}

// fillFilter adds the members of a list without a bitmap.
func (p *Pool) fillFilter(l List, f *uidFilter) {
	var batch [maxBlock]Key
	for part := range p.indexBlocks(l) {
		for _, k := range p.indexKeys(l, part, &batch) {
			uid := k.Time()
			f[uid>>6&511] |= 1 << (uid & 63)
		}
	}
}

// walk visits the order blocks of a list from a key downwards.
type walk struct {
	p      *Pool
	l      List
	chunk  int // the next block, plus one
	before Key
	inside bool // a block was visited, so all of the next ones are below the key
	view   view
	rank   int // members of view less than the key
}

func (p *Pool) walkBefore(l List, before Key) walk {
	c := walk{p: p, l: l, before: before, chunk: p.chunks(l)}
	if l.tier() == tierBig {
		c.chunk = p.bigs[l.ref()].order.find(before) + 1
	}
	return c
}

// next moves to a block with members less than the key.
func (c *walk) next() bool {
	for c.chunk > 0 {
		c.chunk--
		c.view = c.p.chunk(c.l, c.chunk).view()
		c.rank = c.view.n
		if !c.inside {
			c.inside = true
			c.rank, _ = c.view.search(c.before)
		}
		if c.rank > 0 {
			return true
		}
	}
	return false
}
