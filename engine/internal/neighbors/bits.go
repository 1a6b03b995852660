package neighbors

import "math/bits"

// Bit fields in words: bit 0 is the lowest bit of word 0. Word 0 of every block
// is its header, so a field always has a word before it and reading may look
// back without a check.

// getBits returns the field of 1 to 64 bits at pos, which lies in word 1 or later.
func getBits(w []uint64, pos, width uint) uint64 {
	end := pos + width - 1
	j, s := end>>6, end&63
	return (w[j]<<(63-s) | w[j-1]>>1>>s) >> ((64 - width) & 63)
}

// setBits puts v into a zeroed field of up to 63 bits at pos.
func setBits(w []uint64, pos, width uint, v uint64) {
	if width == 0 {
		return
	}
	j, s := pos>>6, pos&63
	w[j] |= v << s
	if s+width > 64 {
		w[j+1] |= v >> (64 - s)
	}
}

// insertBits opens a field of up to 63 bits at pos by moving the bits of
// [pos, end) up, and puts v there. The bits of [end, end+width) are zero before.
func insertBits(w []uint64, pos, end, width uint, v uint64) {
	if width == 0 {
		return
	}
	if pos < end {
		first, last := pos>>6, (end+width-1)>>6
		keepLow := uint64(1)<<(pos&63) - 1
		keepHigh := ^uint64(0) << ((end + width - 1) & 63) << 1
		old := w[first]
		for j := last; j > first; j-- {
			from := w[j-1]
			if j-1 == first {
				from &^= keepLow
			}
			moved := w[j]<<width | from>>(64-width)
			if j == last {
				moved = moved&^keepHigh | w[j]&keepHigh
			}
			w[j] = moved
		}
		moved := (old &^ keepLow) << width
		if first == last {
			moved = moved&^keepHigh | old&keepHigh
		}
		w[first] = moved | old&keepLow
	}
	setBits(w, pos, width, v)
}

// removeBits closes the field of up to 63 bits at pos by moving the bits of
// [pos+width, end) down; the bits of [end-width, end) become zero.
func removeBits(w []uint64, pos, end, width uint) {
	if width == 0 {
		return
	}
	first, last := pos>>6, (end-1)>>6
	keepLow := uint64(1)<<(pos&63) - 1
	keepHigh := ^uint64(0) << ((end - 1) & 63) << 1
	old, tail := w[first], w[last]&keepHigh
	w[last] &^= keepHigh
	for j := first; j < last; j++ {
		w[j] = w[j]>>width | w[j+1]<<(64-width)
	}
	w[last] = w[last]>>width | tail
	// The first word's low bits stay, and what the shift put there belongs nowhere.
	if first == last {
		w[first] = (old&^keepHigh)>>width&^keepLow | tail | old&keepLow
		return
	}
	w[first] = w[first]&^keepLow | old&keepLow
}

// select64 returns the position of one number k (from 0) of x, which has more than k ones.
func select64(x uint64, k int) uint {
	const bytesOfOne, topBits = 0x0101010101010101, 0x8080808080808080
	s := x - x>>1&0x5555555555555555
	s = s&0x3333333333333333 + s>>2&0x3333333333333333
	s = (s + s>>4) & 0x0f0f0f0f0f0f0f0f * bytesOfOne // byte i: ones in bytes 0..i
	atMostK := ((uint64(k)*bytesOfOne | topBits) - s) & topBits
	place := uint(bits.OnesCount64(atMostK)) * 8
	k -= int(s << 8 >> place & 0xff)
	x >>= place
	for ; k > 0; k-- {
		x &= x - 1
	}
	return place + uint(bits.TrailingZeros64(x))
}
