package neighbors

import "math/bits"

// block is up to 512 ascending keys, packed: the high half (head) of each as
// Elias-Fano code, the low half (payload) at a fixed width. An order block has
// the follow times as heads and the uids as payload; an index block has the uids
// as heads and no payload.
//
//	word 0, header, from the lowest bit: base 32 bits, members n 10, capacity 10,
//	        payload width 6, low width 6
//	then    payloads, capacity × payload width bits
//	        lows, capacity × low width: the low bits of head - base
//	        uppers, up to the end: member i has a one at ((head-base) >> low width) + i
//
// Bits of places not in use are zero. Base is at most the first head. The fields
// follow each other without padding, so inserting a member is three bit shifts.
type block []uint64

const (
	headerBits = 64
	// maxBlock bounds the members of a block; the header could count to 1,023.
	maxBlock = 512
	// maxBlockWords is the largest packed form: 512 members of 32 + 23 bits, and
	// their uppers of less than 2 × 512 + 512 bits.
	maxBlockWords = 1 + (maxBlock*(32+23)+3*maxBlock)/64
)

func (b block) len() int { return int(b[0] >> 32 & 0x3ff) }

// view is a block with its header taken apart.
type view struct {
	w               []uint64
	n               int
	capacity        int
	width, low      uint
	base            uint32
	lowsAt, upperAt uint // first bit of lows and of uppers
}

func (b block) view() view {
	h := b[0]
	v := view{
		w: b, n: int(h >> 32 & 0x3ff), capacity: int(h >> 42 & 0x3ff),
		width: uint(h >> 52 & 0x3f), low: uint(h >> 58), base: uint32(h),
	}
	v.lowsAt = headerBits + uint(v.capacity)*v.width
	v.upperAt = v.lowsAt + uint(v.capacity)*v.low
	return v
}

// shape says how keys are packed.
type shape struct {
	n          int
	width, low uint
	base       uint32
	upper      uint // bits of the uppers
}

// shapeOf gives the shape of at least one ascending keys: the narrowest payload,
// and the low width that makes the uppers 2 to 3 bits a member.
func shapeOf(keys []Key) shape {
	var payloads Key
	for _, k := range keys {
		payloads |= k
	}
	n := len(keys)
	first, last := keys[0].Time(), keys[n-1].Time()
	low := uint(0)
	if perMember := (uint64(last-first) + 1) / uint64(n); perMember > 0 {
		low = uint(bits.Len64(perMember)) - 1
	}
	return shape{
		n: n, width: uint(bits.Len32(payloads.UID())), low: low, base: first,
		upper: uint(n) + uint(last-first)>>low,
	}
}

func (s shape) bits() uint { return uint(s.n)*(s.width+s.low) + s.upper }

func (s shape) words() int { return 1 + int(s.bits()+63)>>6 }

// capacity gives the members that so many words can hold when the times keep
// their pace, so that appends fill payloads, lows and uppers alike.
func (s shape) capacity(words int) int {
	const upperBits = 2
	spare := uint(words-1)*64 - s.bits()
	return min(s.n+int(spare/(s.width+s.low+upperBits)), maxBlock)
}

// pack writes keys into w with room for capacity members.
func (s shape) pack(w []uint64, keys []Key, capacity int) {
	clear(w)
	w[0] = uint64(s.base) | uint64(s.n)<<32 | uint64(capacity)<<42 | uint64(s.width)<<52 | uint64(s.low)<<58
	v := block(w).view()
	payloadAt, lowAt := uint(headerBits), v.lowsAt
	mask := uint64(1)<<s.low - 1
	for i, k := range keys {
		setBits(w, payloadAt, s.width, uint64(k.UID()))
		payloadAt += s.width
		rest := uint64(k.Time() - s.base)
		setBits(w, lowAt, s.low, rest&mask)
		lowAt += s.low
		at := v.upperAt + uint(rest>>s.low) + uint(i)
		w[at>>6] |= 1 << (at & 63)
	}
}

// ones gives word j of the uppers without the bits of the lows below them.
func (v *view) ones(j uint) uint64 {
	if j == v.upperAt>>6 {
		return v.w[j] &^ (1<<(v.upperAt&63) - 1)
	}
	return v.w[j]
}

// keys writes members lo to hi-1 to out from at on, in steps of +1 or -1.
func (v *view) keys(lo, hi int, out []Key, at, step int) {
	v.heads(lo, hi, out, at, step)
	if v.width == 0 {
		return
	}
	pos := headerBits + uint(lo)*v.width
	for i := lo; i < hi; i++ {
		out[at] |= Key(getBits(v.w, pos, v.width))
		pos += v.width
		at += step
	}
}

func (v *view) heads(lo, hi int, out []Key, at, step int) {
	if lo >= hi {
		return
	}
	j, ones := v.wordOf(lo)
	lowPos := v.lowsAt + uint(lo)*v.low
	for i := lo; i < hi; i++ {
		for ones == 0 {
			j++
			ones = v.w[j]
		}
		head := (j<<6 + uint(bits.TrailingZeros64(ones)) - v.upperAt - uint(i)) << v.low
		ones &= ones - 1
		if v.low != 0 {
			head |= uint(getBits(v.w, lowPos, v.low))
			lowPos += v.low
		}
		out[at] = Key(v.base+uint32(head)) << 32
		at += step
	}
}

// wordOf gives the word of the uppers that holds the one of member i, with only
// that one and those above it.
func (v *view) wordOf(i int) (j uint, ones uint64) {
	j = v.upperAt >> 6
	ones = v.ones(j)
	for {
		c := bits.OnesCount64(ones)
		if i < c {
			break
		}
		i -= c
		j++
		ones = v.w[j]
	}
	if i > 0 {
		ones &= ^uint64(0) << select64(ones, i)
	}
	return j, ones
}

func (v *view) payload(i int) uint32 {
	if v.width == 0 {
		return 0
	}
	return uint32(getBits(v.w, headerBits+uint(i)*v.width, v.width))
}

func (v *view) lowBits(i int) uint32 {
	if v.low == 0 {
		return 0
	}
	return uint32(getBits(v.w, v.lowsAt+uint(i)*v.low, v.low))
}

// key returns member i.
func (v *view) key(i int) Key {
	j, ones := v.wordOf(i)
	head := (j<<6 + uint(bits.TrailingZeros64(ones)) - v.upperAt - uint(i)) << v.low
	return MakeKey(v.base+uint32(head)+v.lowBits(i), v.payload(i))
}

// search returns how many members are less than k, and whether k is a member.
func (v *view) search(k Key) (rank int, found bool) {
	if k.Time() < v.base {
		return 0, false
	}
	rest := k.Time() - v.base
	zeros := uint(rest >> v.low) // before the ones of this upper value
	at, ok := v.afterZeros(int(zeros))
	if !ok {
		return v.n, false
	}
	lo := int(at - v.upperAt - zeros)
	if lo >= v.n {
		return v.n, false
	}
	hi := lo + v.run(at)
	low := rest & (1<<v.low - 1)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		l := v.lowBits(mid)
		if l == low {
			p := v.payload(mid)
			if p == k.UID() {
				return mid, true
			}
			if p < k.UID() {
				lo = mid + 1
			} else {
				hi = mid
			}
		} else if l < low {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, false
}

// afterZeros gives the bit behind so many zeros of the uppers; not ok: there are fewer.
func (v *view) afterZeros(zeros int) (uint, bool) {
	if zeros == 0 {
		return v.upperAt, true
	}
	j := v.upperAt >> 6
	z := ^v.w[j] &^ (1<<(v.upperAt&63) - 1)
	for {
		c := bits.OnesCount64(z)
		if zeros <= c {
			return j<<6 + select64(z, zeros-1) + 1, true
		}
		zeros -= c
		j++
		if j >= uint(len(v.w)) {
			return 0, false
		}
		z = ^v.w[j]
	}
}

// run counts the ones from bit at on.
func (v *view) run(at uint) int {
	j, s := at>>6, at&63
	if j >= uint(len(v.w)) {
		return 0
	}
	if c := bits.TrailingZeros64(^(v.w[j] >> s)); c < int(64-s) {
		return c
	}
	c := int(64 - s)
	for j++; j < uint(len(v.w)); j++ {
		t := bits.TrailingZeros64(^v.w[j])
		c += t
		if t < 64 {
			break
		}
	}
	return c
}

// countOnes counts the ones of the uppers.
func (v *view) countOnes() int {
	n := 0
	for j := v.upperAt >> 6; j < uint(len(v.w)); j++ {
		n += bits.OnesCount64(v.ones(j))
	}
	return n
}
