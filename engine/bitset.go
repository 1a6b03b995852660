package engine

import "math/bits"

const (
	bitPageWords = 512
	bitPageBits  = bitPageWords * 64
)

// bitset is a set of uint32 in pages of 4 KiB that exist where there are members,
// so that an empty one costs nothing and a sparse one is walked fast.
type bitset struct {
	pages []*[bitPageWords]uint64
}

func (b *bitset) has(i uint32) bool {
	page := i / bitPageBits
	if page >= uint32(len(b.pages)) || b.pages[page] == nil {
		return false
	}
	return b.pages[page][i%bitPageBits/64]>>(i%64)&1 != 0
}

func (b *bitset) add(i uint32) {
	b.page(i / bitPageBits)[i%bitPageBits/64] |= 1 << (i % 64)
}

// page returns the page of that number and makes it if need be.
func (b *bitset) page(page uint32) *[bitPageWords]uint64 {
	for uint32(len(b.pages)) <= page {
		b.pages = append(b.pages, nil)
	}
	if b.pages[page] == nil {
		b.pages[page] = new([bitPageWords]uint64)
	}
	return b.pages[page]
}

// merge adds the members of other.
func (b *bitset) merge(other *bitset) {
	for i, from := range other.pages {
		if from == nil {
			continue
		}
		to := b.page(uint32(i))
		for w := range from {
			to[w] |= from[w]
		}
	}
}

// next returns the smallest member at or above i.
func (b *bitset) next(i uint32) (member uint32, ok bool) {
	for page := i / bitPageBits; page < uint32(len(b.pages)); page++ {
		words := b.pages[page]
		start := i
		i = (page + 1) * bitPageBits
		if words == nil {
			continue
		}
		mask := ^uint64(0) << (start % 64)
		for w := start % bitPageBits / 64; w < bitPageWords; w++ {
			if v := words[w] & mask; v != 0 {
				return page*bitPageBits + w*64 + uint32(bits.TrailingZeros64(v)), true
			}
			mask = ^uint64(0)
		}
	}
	return 0, false
}

func (b *bitset) memoryBytes() int {
	total := 8 * cap(b.pages)
	for _, p := range b.pages {
		if p != nil {
			total += bitPageWords * 8
		}
	}
	return total
}
