package names

import "math/bits"

const (
	segmentMinSlots = 8
	// A segment grows by a quarter when seven in eight of its slots are taken:
	// with 32 hash bits in a slot a long probe stays within a cache line or two,
	// and small steps waste little memory.
	maxLoadNumerator   = 7
	maxLoadDenominator = 8
)

// segment is an open-addressing table with linear probing. A slot holds 32 bits
// of the hash above the name's number plus one, 0 when empty; so a miss hardly
// ever reads a name, and growing never does.
type segment struct {
	slots []uint64
	used  int
}

// slotHash picks the 32 bits of the hash that a slot holds; the top eight bits
// choose the segment.
func slotHash(h uint64) uint32 { return uint32(h >> 24) }

// home returns where the search for a hash begins: its share of the slots, which
// allows any number of slots, not just powers of two.
func (s *segment) home(h uint32) int {
	high, _ := bits.Mul64(uint64(h)<<32, uint64(len(s.slots)))
	return int(high)
}

// next returns the number of the first name with that hash at or after slot i,
// and the slot behind it; ok is false at the end of the run. There is always an
// empty slot to stop at, unless there are none at all.
func (s *segment) next(h uint32, i int) (n uint32, after int, ok bool) {
	for len(s.slots) > 0 {
		v := s.slots[i]
		if i++; i == len(s.slots) {
			i = 0
		}
		if v == 0 {
			break
		}
		if uint32(v>>32) == h {
			return uint32(v) - 1, i, true
		}
	}
	return 0, 0, false
}

// add enters a name that the segment does not hold.
func (s *segment) add(h uint32, n uint32) {
	if (s.used+1)*maxLoadDenominator > len(s.slots)*maxLoadNumerator {
		s.grow()
	}
	s.place(uint64(h)<<32 | uint64(n+1))
	s.used++
}

func (s *segment) place(slot uint64) {
	i := s.home(uint32(slot >> 32))
	for s.slots[i] != 0 {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	s.slots[i] = slot
}

func (s *segment) grow() {
	old := s.slots
	s.slots = make([]uint64, max(segmentMinSlots, len(old)+len(old)/4))
	for _, slot := range old {
		if slot != 0 {
			s.place(slot)
		}
	}
}
