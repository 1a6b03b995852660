package neighbors

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestOptionsAreValidated(t *testing.T) {
	for _, o := range []Options{
		{ScanMax: -1}, {BlockMax: 3}, {BlockMax: 513}, {BlockMax: 64}, {ScanMax: 512}, {LeavesMax: 511}, {LeavesMax: -1},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "thresholds") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestLargeListsCrossAllTiers grows lists beyond a bitmap with the default
// thresholds and shrinks them to nothing, with all reads on the way.
func TestLargeListsCrossAllTiers(t *testing.T) {
	rnd := newRand(t)
	w := newWorld(t, Options{}, 2)
	var keys []Key
	for i, uid := range rnd.Perm(6000) {
		keys = append(keys, MakeKey(uint32(benchStart+1000*i), uint32(uid)*37))
	}
	for i, k := range keys {
		w.insert(0, k)
		if i%2 == 0 || rnd.IntN(3) == 0 {
			w.insert(1, MakeKey(rnd.Uint32(), k.UID()))
		}
		w.stepLarge(i, k)
	}
	if w.pool.bitmap(w.lists[0].list) == nil || w.pool.bitmap(w.lists[1].list) != nil {
		t.Error("the lists are not in the tiers that they are to be in")
	}
	rnd.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for i, k := range keys {
		w.remove(0, k)
		w.stepLarge(i, k)
	}
}

func (w *world) stepLarge(i int, k Key) {
	rnd := newRand(w.t)
	m := w.lists[0]
	w.read(rnd, m, k)
	if i%300 != 0 {
		return
	}
	w.sync(m)
	w.check(m)
	w.both(rnd, m, w.lists[1], k)
	w.both(rnd, w.lists[1], m, k)
	w.reload(m)
	w.check(m)
}

func TestBlockWithoutRoomForAnExtremeKeyIsPackedAnew(t *testing.T) {
	p := NewPool(nil)
	l := listOf(t, p, []Key{MakeKey(1000, 1), MakeKey(1001, 2), MakeKey(1002, 3)})
	for _, k := range []Key{MakeKey(math.MaxUint32, 4), MakeKey(0, 5), MakeKey(1000, math.MaxUint32), MakeKey(math.MaxUint32, 0)} {
		if !p.Insert(&l, 0, k) || !p.Contains(l, k.UID()) {
			t.Errorf("%x is no member", k)
		}
		if err := p.Check(l); err != nil {
			t.Error(err)
		}
	}
}

func TestBeforeIsStrict(t *testing.T) {
	p := NewPool(nil)
	newest := MakeKey(math.MaxUint32, math.MaxUint32)
	l := listOf(t, p, []Key{0, MakeKey(5, 5), newest})
	if got := p.Before(l, newest, nil, 9); !slices.Equal(got, []Key{MakeKey(5, 5), 0}) {
		t.Errorf("before the newest: %x", got)
	}
	if got := p.Before(l, 0, nil, 9); got != nil {
		t.Errorf("before key 0: %x", got)
	}
	if got := p.Before(l, newest, nil, 0); got != nil {
		t.Errorf("at most 0: %x", got)
	}
	if got := p.AndBefore(l, List{}, newest, nil, 9); got != nil {
		t.Errorf("common with an empty list: %x", got)
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	rnd := newRand(t)
	p := NewPool(nil)
	var lists []List
	for _, n := range []int{0, 1, 30, 300, 3000, 9000} {
		lists = append(lists, randomList(p, rnd, n, 1<<16))
	}
	keys, uids := make([]Key, 0, 1<<14), make([]uint32, 0, 1<<14)
	hit := make([]bool, 3)
	for i, a := range lists {
		for j, b := range lists {
			allocs := testing.AllocsPerRun(3, func() {
				p.Contains(a, 77)
				p.ContainsMany(a, []uint32{1, 2, 3}, hit)
				p.Find(a, 77)
				p.Before(a, math.MaxUint64, keys, 500)
				p.AndBefore(a, b, math.MaxUint64, keys, 500)
				p.AndCount(a, b)
				if i < 5 || j < 5 {
					p.And(a, b, uids)
				}
			})
			if allocs != 0 {
				t.Errorf("%d and %d members: %v allocations", a.Len(), b.Len(), allocs)
			}
		}
	}
}

// TestConcurrentReads is for the race detector.
func TestConcurrentReads(t *testing.T) {
	rnd := newRand(t)
	p := NewPool(nil)
	var lists []List
	for _, n := range []int{30, 300, 3000, 9000} {
		lists = append(lists, randomList(p, rnd, n, 1<<14))
	}
	want := p.AndCount(lists[2], lists[3])
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20 {
				for _, l := range lists {
					p.Contains(l, 77)
					p.Find(l, 77)
					p.Before(l, math.MaxUint64, nil, 700)
					p.AndBefore(l, lists[1], math.MaxUint64, nil, 50)
					p.And(l, lists[0], nil)
					p.EachChunk(l, func(sep Key) bool {
						_, ok := p.ChunkAt(l, sep, nil)
						return ok
					})
				}
				if got := p.AndCount(lists[2], lists[3]); got != want {
					t.Errorf("%d common members, not %d", got, want)
				}
			}
		})
	}
	readers.Wait()
}

// TestCheckFindsDamage flips payload bits of the order: the index, or the rule that
// unused bits are zero, must tell.
func TestCheckFindsDamage(t *testing.T) {
	rnd := newRand(t)
	for _, n := range []int{100, 300, 1500, 6000} {
		p := NewPool(nil)
		l := randomList(p, rnd, n, 1<<20)
		for range 50 {
			if err := p.Check(l); err != nil {
				t.Fatal(err)
			}
			b := p.chunk(l, rnd.IntN(p.chunks(l)))
			v := b.view()
			at := headerBits + rnd.UintN(v.lowsAt-headerBits)
			b[at>>6] ^= 1 << (at & 63)
			if p.Check(l) == nil {
				t.Fatalf("%d members: a flipped bit %d was not found", n, at)
			}
			b[at>>6] ^= 1 << (at & 63)
		}
	}
}
