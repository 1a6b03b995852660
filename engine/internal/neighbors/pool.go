package neighbors

import (
	"fmt"
	"slices"
)

// Options are the thresholds of a pool. Zero means the default. They shape memory
// only, but BlockMax also where chunks are cut: chunks are loaded only by a pool
// with the BlockMax of the one that stored them.
type Options struct {
	// ScanMax is the largest list in members whose order is scanned for a uid.
	// Default 64: scanning costs less than a cache miss, and an index none of it.
	ScanMax int
	// BlockMax is the largest block in members, 4 to 512. Default 512: some 2.5 KB,
	// what a follow of a celebrity rewrites.
	BlockMax int
	// LeavesMax is the largest list in members that is indexed by blocks, not by a
	// bitmap. Default 4,096: above, a roaring bitmap's containers are well filled.
	LeavesMax int
}

// defaultOptions are what zero fields of Options mean.
var defaultOptions = Options{ScanMax: 64, BlockMax: maxBlock, LeavesMax: 4096}

func (o Options) withDefaults() Options {
	if o.ScanMax == 0 {
		o.ScanMax = defaultOptions.ScanMax
	}
	if o.BlockMax == 0 {
		o.BlockMax = defaultOptions.BlockMax
	}
	if o.LeavesMax == 0 {
		o.LeavesMax = defaultOptions.LeavesMax
	}
	return o
}

// Validate refuses thresholds out of their range or order.
func (o Options) Validate() error {
	o = o.withDefaults()
	if o.ScanMax < 1 || o.BlockMax < 4 || o.BlockMax > maxBlock || o.ScanMax >= o.BlockMax || o.LeavesMax < o.BlockMax {
		return fmt.Errorf("neighbors: thresholds %+v: want 1 <= ScanMax < BlockMax <= LeavesMax and BlockMax of 4 to %d", o, maxBlock)
	}
	return nil
}

// Pool owns the memory of all lists of one direction of a shard. It has one
// writer; reads may run concurrently with each other, never with a mutation.
type Pool struct {
	options  Options
	hook     func(owner uint32, sep Key)
	blocks   store
	bigs     []*big
	freeBigs []uint32
}

// NewPool returns an empty pool with the default options. Touch is called before
// a chunk changes, is created or is removed by Insert or Remove; until it returns
// the list is as it was, so it may read the chunk's old form by ChunkAt. It must
// not change a list. Nil: nobody wants to know.
func NewPool(touch func(owner uint32, sep Key)) *Pool {
	return NewPoolWith(Options{}, touch)
}

// NewPoolWith is NewPool with other thresholds, which must be valid.
func NewPoolWith(o Options, touch func(owner uint32, sep Key)) *Pool {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	o = o.withDefaults()
	return &Pool{options: o, hook: touch, blocks: store{slab: newSlab(), blockMax: o.BlockMax}}
}

// Insert adds a member. False: its uid is a member already and nothing changed.
// Owner is only handed on to the touch hook.
func (p *Pool) Insert(l *List, owner uint32, k Key) bool {
	if p.Contains(*l, k.UID()) {
		return false
	}
	s, t, n := &p.blocks, toucher{p.hook, owner}, l.Len()
	switch {
	case n == 0:
		t.touch(0)
		*l = slotList(tierScanned, s.create([]Key{k}, 0), 1)
	case l.tier() == tierBig:
		b := p.bigs[l.ref()]
		b.order.insert(s, k, t)
		b.addUID(s, k.UID(), n+1, p.options.LeavesMax)
		*l = bigList(l.ref(), n+1)
	case n == p.options.BlockMax:
		p.grow(l, k, t)
	default:
		p.insertSingle(l, k, t)
	}
	return true
}

// insertSingle adds to a list of one block with room.
func (p *Pool) insertSingle(l *List, k Key, t toucher) {
	s := &p.blocks
	t.touch(0)
	order := p.orderRef(*l)
	v := s.at(order, 0).view()
	rank, _ := v.search(k)
	moved := s.insert(order, 0, rank, k)
	n := l.Len() + 1
	switch {
	case l.tier() == tierIndexed:
		s.slab.slot(l.ref())[0] = uint64(moved)
		v = s.at(l.ref(), indexPrefix).view()
		rank, _ = v.search(uidKey(k.UID()))
		*l = slotList(tierIndexed, s.insert(l.ref(), indexPrefix, rank, uidKey(k.UID())), n)
	case n > p.options.ScanMax:
		*l = p.indexed(moved, s.sortedUIDs(moved))
	default:
		*l = slotList(tierScanned, moved, n)
	}
}

// sortedUIDs gives the uids of an order block as index keys, in scratch.
func (s *store) sortedUIDs(order uint32) []Key {
	v := s.at(order, 0).view()
	keys := s.scratch[:v.n]
	v.uids(keys)
	return keys
}

// indexed is the list of an order block and an index block made of its sorted uids.
func (p *Pool) indexed(order uint32, uids []Key) List {
	index := p.blocks.create(uids, indexPrefix)
	p.blocks.slab.slot(index)[0] = uint64(order)
	return slotList(tierIndexed, index, len(uids))
}

// grow makes a list of one full block, always an indexed one, big and adds k.
func (p *Pool) grow(l *List, k Key, t toucher) {
	s := &p.blocks
	b := &big{order: sequence{[]part{{0, p.orderRef(*l)}}}}
	b.order.insert(s, k, t)
	v := s.at(l.ref(), indexPrefix).view()
	keys := s.scratch[:v.n]
	v.keys(0, v.n, keys, 0, 1)
	b.index.parts = []part{{0, s.create(keys, 0)}}
	s.slab.release(l.ref())
	n := l.Len() + 1
	b.addUID(s, k.UID(), n, p.options.LeavesMax)
	*l = bigList(p.newBig(b), n)
}

// Remove takes a member out. False: the uid is no member with that time, and
// nothing changed.
func (p *Pool) Remove(l *List, owner uint32, k Key) bool {
	n := l.Len()
	switch {
	case n == 0:
		return false
	case l.tier() != tierBig:
		return p.removeSingle(l, k, toucher{p.hook, owner})
	case n == p.options.BlockMax+1:
		return p.shrink(l, k, toucher{p.hook, owner})
	}
	b := p.bigs[l.ref()]
	if !b.order.remove(&p.blocks, k, toucher{p.hook, owner}) {
		return false
	}
	b.removeUID(&p.blocks, k.UID(), n-1, p.options.LeavesMax)
	*l = bigList(l.ref(), n-1)
	return true
}

// removeSingle takes a member out of a list of one block. An index goes only at
// three quarters of its threshold, as in removeUID.
func (p *Pool) removeSingle(l *List, k Key, t toucher) bool {
	s, n := &p.blocks, l.Len()
	order := p.orderRef(*l)
	v := s.at(order, 0).view()
	rank, found := v.search(k)
	if !found {
		return false
	}
	t.touch(0)
	if n == 1 {
		p.Drop(l)
		return true
	}
	moved := s.remove(order, 0, rank)
	if l.tier() == tierScanned {
		*l = slotList(tierScanned, moved, n-1)
		return true
	}
	if n-1 <= p.options.ScanMax-p.options.ScanMax/4 {
		s.slab.release(l.ref())
		*l = slotList(tierScanned, moved, n-1)
		return true
	}
	s.slab.slot(l.ref())[0] = uint64(moved)
	v = s.at(l.ref(), indexPrefix).view()
	rank, _ = v.search(uidKey(k.UID()))
	*l = slotList(tierIndexed, s.remove(l.ref(), indexPrefix, rank), n-1)
	return true
}

// shrink takes a member out of a big list with one more than fit in one block.
func (p *Pool) shrink(l *List, k Key, t toucher) bool {
	b := p.bigs[l.ref()]
	keys := b.order.appendKeys(&p.blocks, nil)
	i, found := slices.BinarySearch(keys, k)
	if !found {
		return false
	}
	for _, pt := range b.order.parts {
		t.touch(pt.sep)
	}
	p.Drop(l)
	order := p.blocks.create(slices.Delete(keys, i, i+1), 0)
	*l = p.indexed(order, p.blocks.sortedUIDs(order))
	return true
}

// Drop forgets all members without a call of the touch hook.
func (p *Pool) Drop(l *List) {
	s := &p.blocks
	switch {
	case l.Len() == 0:
	case l.tier() == tierBig:
		b := p.bigs[l.ref()]
		b.order.drop(s)
		b.index.drop(s)
		p.freeBig(l.ref())
	default:
		order := p.orderRef(*l)
		if l.tier() == tierIndexed {
			s.slab.release(l.ref())
		}
		s.slab.release(order)
	}
	*l = List{}
}

// orderRef is the slot of the order block of a list of one block.
func (p *Pool) orderRef(l List) uint32 {
	if l.tier() == tierIndexed {
		return uint32(p.blocks.slab.slot(l.ref())[0])
	}
	return l.ref()
}
