package neighbors

import "math/bits"

// insert puts k at rank in place; false: the block has no room for it or was not
// packed for such a key, and must be packed anew.
func (b block) insert(rank int, k Key) bool {
	v := b.view()
	if v.n >= v.capacity || uint(bits.Len32(k.UID())) > v.width || k.Time() < v.base {
		return false
	}
	rest := uint(k.Time() - v.base)
	at := v.upperAt + rest>>v.low + uint(rank)
	end := v.endOfUppers()
	if max(at, end) >= uint(len(b))*64 {
		return false
	}
	n := uint(v.n)
	r := uint(rank)
	insertBits(b, headerBits+r*v.width, headerBits+n*v.width, v.width, uint64(k.UID()))
	insertBits(b, v.lowsAt+r*v.low, v.lowsAt+n*v.low, v.low, uint64(rest)&(1<<v.low-1))
	insertBits(b, at, max(at, end), 1, 1)
	b[0] += 1 << 32
	return true
}

// remove takes the member at rank out in place.
func (b block) remove(rank int) {
	v := b.view()
	j, ones := v.wordOf(rank)
	n := uint(v.n)
	r := uint(rank)
	removeBits(b, j<<6+uint(bits.TrailingZeros64(ones)), v.endOfUppers(), 1)
	removeBits(b, v.lowsAt+r*v.low, v.lowsAt+n*v.low, v.low)
	removeBits(b, headerBits+r*v.width, headerBits+n*v.width, v.width)
	b[0] -= 1 << 32
}

// endOfUppers is the bit behind the last member's one.
func (v *view) endOfUppers() uint {
	for j := uint(len(v.w)) - 1; j >= v.upperAt>>6; j-- {
		if ones := v.ones(j); ones != 0 {
			return j<<6 + uint(bits.Len64(ones))
		}
	}
	return v.upperAt
}

// wordsInUse bounds the words that packing anew would take.
func (b block) wordsInUse() int {
	v := b.view()
	return 1 + int(uint(v.n)*(v.width+v.low)+v.endOfUppers()-v.upperAt+63)>>6
}
