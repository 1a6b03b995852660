package neighbors

import (
	"math/bits"
	"slices"
)

// Contains tells whether a uid is a member.
func (p *Pool) Contains(l List, uid uint32) bool {
	switch l.tier() {
	case tierScanned:
		if l.Len() == 0 {
			return false
		}
		v := p.blocks.at(l.ref(), 0).view()
		return v.rankOf(uid) >= 0
	case tierIndexed:
		v := p.blocks.at(l.ref(), indexPrefix).view()
		_, found := v.search(uidKey(uid))
		return found
	}
	return p.bigs[l.ref()].contains(&p.blocks, uid)
}

// ContainsMany sets hit[i] to whether uids[i] is a member. The checks do not
// depend on each other, so the processor overlaps their cache misses.
func (p *Pool) ContainsMany(l List, uids []uint32, hit []bool) {
	switch l.tier() {
	case tierScanned:
		if l.Len() == 0 {
			clear(hit[:len(uids)])
			return
		}
		v := p.blocks.at(l.ref(), 0).view()
		for i, uid := range uids {
			hit[i] = v.rankOf(uid) >= 0
		}
	case tierIndexed:
		v := p.blocks.at(l.ref(), indexPrefix).view()
		for i, uid := range uids {
			_, hit[i] = v.search(uidKey(uid))
		}
	default:
		b := p.bigs[l.ref()]
		for i, uid := range uids {
			hit[i] = b.contains(&p.blocks, uid)
		}
	}
}

// Find gives a member's key. It looks through the order, newest first, so it is
// for lists of some thousands.
func (p *Pool) Find(l List, uid uint32) (Key, bool) {
	if !p.Contains(l, uid) {
		return 0, false
	}
	for i := p.chunks(l) - 1; i >= 0; i-- {
		v := p.chunk(l, i).view()
		if rank := v.rankOf(uid); rank >= 0 {
			return v.key(rank), true
		}
	}
	return 0, false
}

// chunks is the number of order blocks.
func (p *Pool) chunks(l List) int {
	if l.tier() == tierBig {
		return len(p.bigs[l.ref()].order.parts)
	}
	return min(l.Len(), 1)
}

// chunk is order block i.
func (p *Pool) chunk(l List, i int) block {
	if l.tier() == tierBig {
		return p.bigs[l.ref()].order.at(&p.blocks, i)
	}
	return p.blocks.at(p.orderRef(l), 0)
}

// laneOnes has, for a payload width, the lowest bit of each of the 64/width lanes
// of a word set.
var laneOnes = func() (ones [33]uint64) {
	for width := uint(1); width <= 32; width++ {
		for at := uint(0); at+width <= 64; at += width {
			ones[width] |= 1 << at
		}
	}
	return ones
}()

// rankOf gives the rank of the member with a payload, or -1. It compares as many
// payloads at once as fit into a word: the lowest lane that differs in no bit is
// found by the carry of a subtraction (Knuth, The Art of Computer Programming 4A,
// 7.1.3, "a test for zero bytes").
func (v *view) rankOf(payload uint32) int {
	width := v.width
	if width == 0 {
		if payload == 0 {
			return 0
		}
		return -1
	}
	if uint(bits.Len32(payload)) > width {
		return -1
	}
	// A window ends with its last lane's top bit as its highest bit; bits of an
	// earlier lane below the first whole one are in nobody's way.
	lanes := int(64 / width)
	step := uint(lanes) * width
	ones := laneOnes[width] << (64 - step)
	tops := ones << (width - 1)
	pattern := ones * uint64(payload)
	w := v.w
	rank, end := 0, headerBits+step-1
	for ; rank+lanes < v.n; rank += lanes {
		j, s := end>>6, end&63
		x := (w[j]<<(63-s) | w[j-1]>>1>>s) ^ pattern
		if hit := (x - ones) &^ x & tops; hit != 0 {
			return rank + laneOf(hit, 64-step, width)
		}
		end += step
	}
	// The last window ends with the last member. If it begins before the first
	// one, what is there is made to differ.
	end = headerBits + uint(v.n)*width - 1
	j, s := end>>6, end&63
	x := (w[j]<<(63-s) | w[j-1]>>1>>s) ^ pattern
	if v.n < lanes {
		x |= 1<<(64-uint(v.n)*width) - 1
	}
	if hit := (x - ones) &^ x & tops; hit != 0 {
		return v.n - lanes + laneOf(hit, 64-step, width)
	}
	return -1
}

// laneOf numbers the lane of the lowest bit of hit, the first lane beginning at a bit.
func laneOf(hit uint64, first, width uint) int {
	return int((uint(bits.TrailingZeros64(hit)) - first) / width)
}

// uids writes the payloads of all members as ascending index keys to out.
func (v *view) uids(out []Key) {
	pos := uint(headerBits)
	for i := range out {
		out[i] = 0
		if v.width > 0 {
			out[i] = uidKey(uint32(getBits(v.w, pos, v.width)))
			pos += v.width
		}
	}
	slices.Sort(out)
}
