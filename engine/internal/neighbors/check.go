package neighbors

import (
	"fmt"
	"slices"
)

// Check walks a whole list and returns what is wrong with it: order, separators,
// packing, number of members, uids that are there twice, and an index that
// differs from the order. It allocates several times the size of the list.
func (p *Pool) Check(l List) error {
	var order []Key
	for i := range p.chunks(l) {
		b := p.chunk(l, i)
		if err := checkBlock(b, p.options.BlockMax); err != nil {
			return fmt.Errorf("order block %d: %w", i, err)
		}
		order = appendKeys(b, order)
	}
	if len(order) != l.Len() {
		return fmt.Errorf("%d members, and a length of %d", len(order), l.Len())
	}
	if !ascending(order) {
		return fmt.Errorf("the order is not ascending")
	}
	if l.tier() == tierBig {
		if err := p.checkSequence(&p.bigs[l.ref()].order); err != nil {
			return fmt.Errorf("order: %w", err)
		}
	}
	uids := make([]Key, len(order))
	for i, k := range order {
		uids[i] = uidKey(k.UID())
	}
	slices.Sort(uids)
	if !ascending(uids) {
		return fmt.Errorf("a uid is there twice")
	}
	return p.checkIndex(l, uids)
}

func (p *Pool) checkIndex(l List, uids []Key) error {
	var index []Key
	switch l.tier() {
	case tierScanned:
		if l.Len() > p.options.ScanMax {
			return fmt.Errorf("%d members without an index", l.Len())
		}
		return nil
	case tierIndexed:
		b := p.blocks.at(l.ref(), indexPrefix)
		if err := checkBlock(b, p.options.BlockMax); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		index = appendKeys(b, nil)
	default:
		b := p.bigs[l.ref()]
		if l.Len() <= p.options.BlockMax || b.bitmap == nil && l.Len() > p.options.LeavesMax {
			return fmt.Errorf("%d members in the wrong tier", l.Len())
		}
		if b.bitmap != nil {
			index = uidKeys(b.bitmap.ToArray())
			break
		}
		for i := range b.index.parts {
			if err := checkBlock(b.index.at(&p.blocks, i), p.options.BlockMax); err != nil {
				return fmt.Errorf("index block %d: %w", i, err)
			}
		}
		if err := p.checkSequence(&b.index); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		index = b.index.appendKeys(&p.blocks, nil)
	}
	if !slices.Equal(index, uids) {
		return fmt.Errorf("the index is not that of the order")
	}
	return nil
}

// checkSequence compares separators with the keys on both sides.
func (p *Pool) checkSequence(q *sequence) error {
	for i, pt := range q.parts {
		v := q.at(&p.blocks, i).view()
		if i == 0 && pt.sep != 0 || v.key(0) < pt.sep ||
			i+1 < len(q.parts) && v.key(v.n-1) >= q.parts[i+1].sep {
			return fmt.Errorf("block %d reaches beyond its separators", i)
		}
	}
	return nil
}

// checkBlock verifies a block's header and that it is packed into its words as it
// says, without bits that belong to no member.
func checkBlock(b block, blockMax int) error {
	v := b.view()
	if v.n == 0 || v.n > blockMax || v.n > v.capacity || v.capacity > maxBlock || v.width > 32 || v.low > 32 {
		return fmt.Errorf("header %x", b[0])
	}
	if v.upperAt+uint(v.n) > 64*uint(len(b)) || v.countOnes() != v.n {
		return fmt.Errorf("wrong number of members")
	}
	var keys [maxBlock]Key
	v.keys(0, v.n, keys[:], 0, 1)
	again := make([]uint64, len(b))
	sh := shape{n: v.n, width: v.width, low: v.low, base: v.base}
	sh.pack(again, keys[:v.n], v.capacity)
	if !slices.Equal(again, b) {
		return fmt.Errorf("stray bits")
	}
	return nil
}
