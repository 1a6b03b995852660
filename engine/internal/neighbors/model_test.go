package neighbors

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a list as a map and a sorted slice, and what an incremental snapshot
// would have stored of it.
type model struct {
	list   List
	times  map[uint32]uint32
	keys   []Key
	stored map[Key][]byte // all chunks as of the last sync
	dirty  map[Key]bool   // touched since
}

func newModel() *model {
	return &model{times: map[uint32]uint32{}, stored: map[Key][]byte{}, dirty: map[Key]bool{}}
}

// world is a pool and the models of its lists. Its touch hook checks what it sees.
type world struct {
	t       testing.TB
	pool    *Pool
	lists   []*model
	touches int
}

func newWorld(t testing.TB, o Options, lists int) *world {
	w := &world{t: t}
	w.pool = NewPoolWith(o, w.touch)
	for range lists {
		w.lists = append(w.lists, newModel())
	}
	return w
}

// touch requires that the list is still as it was: a chunk not touched since the
// last sync has its stored form.
func (w *world) touch(owner uint32, sep Key) {
	w.touches++
	m := w.lists[owner]
	if m.list.Len() != len(m.keys) {
		w.t.Fatalf("touched with %d members, not %d", m.list.Len(), len(m.keys))
	}
	if !m.dirty[sep] {
		now, ok := w.pool.ChunkAt(m.list, sep, nil)
		was, had := m.stored[sep]
		if ok != had || !bytes.Equal(now, was) {
			w.t.Fatalf("chunk %x changed before it was touched: %t %x, was %t %x", sep, ok, now, had, was)
		}
		m.dirty[sep] = true
	}
}

// sync stores the touched chunks of a list and requires that all are stored now.
func (w *world) sync(m *model) {
	for sep := range m.dirty {
		if b, ok := w.pool.ChunkAt(m.list, sep, nil); ok {
			m.stored[sep] = b
		} else {
			delete(m.stored, sep)
		}
	}
	clear(m.dirty)
	if all := w.dump(m.list); !maps.EqualFunc(all, m.stored, bytes.Equal) {
		w.t.Fatalf("%d chunks by touches, %d in all, or other contents", len(m.stored), len(all))
	}
}

func (w *world) dump(l List) map[Key][]byte {
	all := map[Key][]byte{}
	last, first := Key(0), true
	w.pool.EachChunk(l, func(sep Key) bool {
		if first != (sep == 0) || !first && sep <= last {
			w.t.Fatalf("separator %x behind %x", sep, last)
		}
		last, first = sep, false
		b, ok := w.pool.ChunkAt(l, sep, nil)
		if !ok {
			w.t.Fatalf("no chunk at %x", sep)
		}
		all[sep] = b
		return true
	})
	return all
}

func (w *world) insert(owner int, k Key) {
	m := w.lists[owner]
	_, had := m.times[k.UID()]
	before := w.touches
	if added := w.pool.Insert(&m.list, uint32(owner), k); added == had {
		w.t.Fatalf("Insert(%x) is %t, and the uid was there: %t", k, added, had)
	}
	if had {
		if w.touches != before {
			w.t.Fatal("touched for nothing")
		}
		return
	}
	m.times[k.UID()] = k.Time()
	i, _ := slices.BinarySearch(m.keys, k)
	m.keys = slices.Insert(m.keys, i, k)
}

func (w *world) remove(owner int, k Key) {
	m := w.lists[owner]
	i, had := slices.BinarySearch(m.keys, k)
	before := w.touches
	if removed := w.pool.Remove(&m.list, uint32(owner), k); removed != had {
		w.t.Fatalf("Remove(%x) is %t, not %t", k, removed, had)
	}
	if !had {
		if w.touches != before {
			w.t.Fatal("touched for nothing")
		}
		return
	}
	delete(m.times, k.UID())
	m.keys = slices.Delete(m.keys, i, i+1)
}

// reload replaces a list by what its stored chunks give.
func (w *world) reload(m *model) {
	chunks := w.dump(m.list)
	w.pool.Drop(&m.list)
	if m.list != (List{}) {
		w.t.Fatal("a dropped list is not empty")
	}
	for _, sep := range slices.Sorted(maps.Keys(chunks)) {
		if err := w.pool.LoadChunk(&m.list, sep, chunks[sep]); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.pool.FinishLoad(&m.list); err != nil {
		w.t.Fatal(err)
	}
	if again := w.dump(m.list); !maps.EqualFunc(again, chunks, bytes.Equal) {
		w.t.Fatal("chunks differ after a reload")
	}
}

// check compares a whole list with its model.
func (w *world) check(m *model) {
	if err := w.pool.Check(m.list); err != nil {
		w.t.Fatal(err)
	}
	if m.list.Len() != len(m.keys) {
		w.t.Fatalf("%d members, not %d", m.list.Len(), len(m.keys))
	}
	newestFirst := slices.Clone(m.keys)
	slices.Reverse(newestFirst)
	if len(newestFirst) > 0 && newestFirst[0] == math.MaxUint64 {
		newestFirst = newestFirst[1:]
	}
	if got := w.pool.Before(m.list, math.MaxUint64, nil, math.MaxInt); !slices.Equal(got, newestFirst) {
		w.t.Fatalf("walk gives %d keys, not %d, or others", len(got), len(newestFirst))
	}
}

// read compares single reads with the model.
func (w *world) read(rnd *rand.Rand, m *model, k Key) {
	time, has := m.times[k.UID()]
	hit := []bool{!has}
	w.pool.ContainsMany(m.list, []uint32{k.UID()}, hit)
	if w.pool.Contains(m.list, k.UID()) != has || hit[0] != has {
		w.t.Fatalf("Contains(%x) is not %t", k.UID(), has)
	}
	got, ok := w.pool.Find(m.list, k.UID())
	if ok != has || has && got != MakeKey(time, k.UID()) {
		w.t.Fatalf("Find(%x) is %x, %t, not time %x, %t", k.UID(), got, ok, time, has)
	}
	if len(m.keys) > 0 && rnd.IntN(2) == 0 {
		k = m.keys[rnd.IntN(len(m.keys))] + Key(rnd.IntN(2))
	}
	limit := rnd.IntN(20)
	if rnd.IntN(8) == 0 {
		limit = rnd.IntN(2000)
	}
	prefix := []Key{1, 2}
	page := w.pool.Before(m.list, k, prefix, limit)
	hi, _ := slices.BinarySearch(m.keys, k)
	want := slices.Clone(m.keys[max(0, hi-limit):hi])
	slices.Reverse(want)
	if !slices.Equal(page, append(prefix, want...)) {
		w.t.Fatalf("Before(%x, %d) gives %d keys, not %d, or others", k, limit, len(page)-2, len(want))
	}
}

// both compares AND operations of two lists with the models.
func (w *world) both(rnd *rand.Rand, a, b *model, before Key) {
	var common []uint32
	var pages []Key
	limit := 1 + rnd.IntN(100)
	for i := len(a.keys) - 1; i >= 0; i-- {
		k := a.keys[i]
		if _, ok := b.times[k.UID()]; ok {
			common = append(common, k.UID())
			if k < before && len(pages) < limit {
				pages = append(pages, k)
			}
		}
	}
	slices.Sort(common)
	if n := w.pool.AndCount(a.list, b.list); n != len(common) {
		w.t.Fatalf("AndCount of %d and %d members is %d, not %d", len(a.keys), len(b.keys), n, len(common))
	}
	if got := w.pool.And(a.list, b.list, nil); !slices.Equal(got, common) {
		w.t.Fatalf("And of %d and %d members gives %d, not %d, or others", len(a.keys), len(b.keys), len(got), len(common))
	}
	if got := w.pool.AndBefore(a.list, b.list, before, nil, limit); !slices.Equal(got, pages) {
		w.t.Fatalf("AndBefore of %d and %d members gives %d, not %d, or others", len(a.keys), len(b.keys), len(got), len(pages))
	}
}

// source draws keys.
type source struct {
	name string
	next func(rnd *rand.Rand, step int) Key
}

var sources = []source{
	{"live", func(r *rand.Rand, step int) Key {
		return MakeKey(uint32(1.7e9)+uint32(step)*uint32(1+step%3)/2-uint32(r.IntN(20)), r.Uint32N(3000))
	}},
	{"import", func(r *rand.Rand, step int) Key {
		return MakeKey(1_500_000_000+r.Uint32N(157_000_000), r.Uint32N(6000))
	}},
	{"equal times", func(r *rand.Rand, step int) Key { return MakeKey(1_600_000_000+r.Uint32N(3), r.Uint32N(2000)) }},
	{"extremes", func(r *rand.Rand, step int) Key {
		time, uid := []uint32{0, 1, math.MaxUint32, r.Uint32()}[r.IntN(4)], math.MaxUint32-r.Uint32N(700)
		if r.IntN(3) == 0 {
			uid = r.Uint32N(700) * uint32(r.IntN(3))
		}
		return MakeKey(time, uid)
	}},
	{"tiny", func(r *rand.Rand, step int) Key { return MakeKey(r.Uint32N(50), r.Uint32N(70)) }},
}

var regimes = []struct {
	options Options
	lists   int
	steps   int
}{
	{Options{ScanMax: 1, BlockMax: 4, LeavesMax: 12}, 6, 25_000},
	{Options{ScanMax: 4, BlockMax: 16, LeavesMax: 60}, 5, 40_000},
	{Options{ScanMax: 20, BlockMax: 32, LeavesMax: 32}, 4, 30_000},
	{Options{ScanMax: 8, BlockMax: 64, LeavesMax: 900}, 3, 40_000},
	{Options{}, 3, 40_000},
}

func TestRandomOperationsAgreeWithModel(t *testing.T) {
	for _, regime := range regimes {
		for _, src := range sources {
			t.Run(fmt.Sprintf("%+v/%s", regime.options, src.name), func(t *testing.T) {
				w := newWorld(t, regime.options, regime.lists)
				w.run(newRand(t), src, regime.steps)
			})
		}
	}
}

// run grows and shrinks lists in long waves, so that each tier is entered and
// left from both sides, and ends with all of them empty and no page held.
func (w *world) run(rnd *rand.Rand, src source, steps int) {
	for step := range steps {
		owner := rnd.IntN(len(w.lists))
		m := w.lists[owner]
		k := src.next(rnd, step)
		growing := (step*7/steps+owner)%3 != 0
		if rnd.IntN(10) < 8 == growing {
			w.insert(owner, k)
		} else if len(m.keys) > 0 && rnd.IntN(10) > 0 {
			w.remove(owner, m.keys[rnd.IntN(len(m.keys))])
		} else {
			w.remove(owner, k)
		}
		if step%5 == 0 {
			w.read(rnd, m, k)
		}
		if step%200 == 0 {
			w.both(rnd, m, w.lists[rnd.IntN(len(w.lists))], k)
		}
		if step%500 == 0 {
			w.sync(m)
			w.check(m)
		}
		if step%1500 == 0 {
			w.reload(m)
			w.check(m)
		}
	}
	for owner, m := range w.lists {
		w.sync(m)
		w.check(m)
		for _, k := range slices.Clone(m.keys) {
			w.remove(owner, k)
		}
		w.sync(m)
		if m.list != (List{}) || len(m.stored) != 0 {
			w.t.Fatalf("an empty list is %x with %d chunks", m.list, len(m.stored))
		}
	}
	if s := w.pool.MemoryBytes(); s.SlabUsedBytes != 0 || s.BitmapBytes != 0 {
		w.t.Fatalf("empty lists use %+v", s)
	}
}
