package neighbors

import "github.com/RoaringBitmap/roaring/v2"

// big is a list of more members than one block holds.
type big struct {
	order  sequence
	index  sequence        // of uids, while there is no bitmap
	bitmap *roaring.Bitmap // nil up to Options.LeavesMax members
}

// uidKey is a uid as a key of an index block.
func uidKey(uid uint32) Key { return MakeKey(uid, 0) }

func (b *big) contains(s *store, uid uint32) bool {
	if b.bitmap != nil {
		return b.bitmap.Contains(uid)
	}
	return len(b.index.parts) > 0 && b.index.contains(s, uidKey(uid))
}

// addUID adds a uid to the index; n: members with it.
func (b *big) addUID(s *store, uid uint32, n, leavesMax int) {
	if b.bitmap == nil && n > leavesMax {
		b.bitmap = roaring.New()
		b.bitmap.AddMany(keyTimes(b.index.appendKeys(s, nil)))
		b.index.drop(s)
	}
	if b.bitmap != nil {
		b.bitmap.Add(uid)
		return
	}
	b.index.insert(s, uidKey(uid), toucher{})
}

// removeUID takes a uid out of the index; n: members without it. The bitmap goes
// only at three quarters of its threshold, lest a list at the threshold rebuild
// its index again and again.
func (b *big) removeUID(s *store, uid uint32, n, leavesMax int) {
	if b.bitmap == nil {
		b.index.remove(s, uidKey(uid), toucher{})
		return
	}
	b.bitmap.Remove(uid)
	if n <= leavesMax-leavesMax/4 {
		uids := b.bitmap.ToArray()
		b.bitmap = nil
		b.index.fill(s, uidKeys(uids))
	}
}

// keyTimes gives the uids of index keys.
func keyTimes(keys []Key) []uint32 {
	uids := make([]uint32, len(keys))
	for i, k := range keys {
		uids[i] = k.Time()
	}
	return uids
}

func uidKeys(uids []uint32) []Key {
	keys := make([]Key, len(uids))
	for i, u := range uids {
		keys[i] = uidKey(u)
	}
	return keys
}

// newBig gives a free number of Pool.bigs with an empty big.
func (p *Pool) newBig(b *big) uint32 {
	if last := len(p.freeBigs) - 1; last >= 0 {
		n := p.freeBigs[last]
		p.freeBigs = p.freeBigs[:last]
		p.bigs[n] = b
		return n
	}
	if len(p.bigs) == 1<<30 {
		panic("neighbors: a pool cannot hold more than 2^30 big lists")
	}
	p.bigs = append(p.bigs, b)
	return uint32(len(p.bigs) - 1)
}

func (p *Pool) freeBig(n uint32) {
	p.bigs[n] = nil
	p.freeBigs = append(p.freeBigs, n)
}
