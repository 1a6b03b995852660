package neighbors

// List is a handle of a user's neighbours, kept by the caller and changed by the
// pool's mutations. The zero value is the empty list. A copy of a handle is valid
// until the next mutation of the list.
//
//	bits 62-63  tier
//	scanned, indexed: members in bits 0-9, slot in bits 16-47
//	big:              members in bits 0-31, number of the big list in bits 32-61
type List struct{ h uint64 }

type tier uint8

const (
	// tierScanned: one order block, searched by scanning. Also an empty list.
	tierScanned tier = iota
	// tierIndexed: one order block, and one index block whose slot the handle
	// names. The prefix word of that slot is the ref of the order block.
	tierIndexed
	// tierBig: a big in Pool.bigs.
	tierBig
)

const indexPrefix = 1 // words

func (l List) tier() tier { return tier(l.h >> 62) }

// Len is the number of members.
func (l List) Len() int {
	if l.tier() == tierBig {
		return int(uint32(l.h))
	}
	return int(l.h & 0x3ff)
}

func (l List) ref() uint32 {
	if l.tier() == tierBig {
		return uint32(l.h >> 32 & (1<<30 - 1))
	}
	return uint32(l.h >> 16)
}

func slotList(t tier, ref uint32, n int) List {
	return List{uint64(t)<<62 | uint64(ref)<<16 | uint64(n)}
}

func bigList(number uint32, n int) List {
	return List{uint64(tierBig)<<62 | uint64(number)<<32 | uint64(uint32(n))}
}
