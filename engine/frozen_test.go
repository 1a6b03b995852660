package engine

import (
	"bytes"
	"maps"
	"math"
	"sync"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// grow gives a crowd's user 0 that many followers and makes it follow a few back.
func grow(g *Graph, count int) {
	for n := 1; n <= count; n++ {
		g.Follow(shard.UID(n), 0, uint32(n))
		if n%10 == 0 {
			g.Follow(0, shard.UID(n), uint32(n))
		}
	}
}

func equalRecords(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, bytes.Equal)
}

func TestSecondFreezeHasOnlyWhatChanged(t *testing.T) {
	g := newCrowd(t, 5002)
	grow(g, 5000)
	all := dump(t, g)
	if again := dump(t, g); len(again) != 1 {
		t.Errorf("%d records of an unchanged graph", len(again))
	}
	g.Follow(5001, 0, 6000)
	more := dump(t, g)
	// The meta record, the follower's one chunk, the celebrity's newest chunk.
	total := 0
	for key, value := range more {
		total += len(key) + len(value)
	}
	if len(more) != 3 || total > 6000 {
		t.Errorf("a new follower among 5,000 rewrites %d records, %d bytes of %d records", len(more), total, len(all))
	}
	maps.Copy(all, more)
	loaded, err := load(Options{}, sortedRecords(all))
	if err != nil || loaded.Checksum() != g.Checksum() {
		t.Fatal(err, "or another checksum")
	}
	checkAll(t, g, loaded)
}

// What is emitted is the graph as frozen, however it changes before Next.
func TestFrozenIgnoresLaterChanges(t *testing.T) {
	calm, busy := newCrowd(t, 3000), newCrowd(t, 3000)
	grow(calm, 2500)
	grow(busy, 2500)
	want := dump(t, calm)
	frozeAt := busy.Checksum()

	f := busy.Freeze()
	for n := shard.UID(1); n <= 2500; n += 2 {
		busy.Unfollow(n, 0)
	}
	busy.Register([]byte("late"))
	for n := shard.UID(2501); n <= 3000; n++ {
		busy.Follow(n, 0, 4)
		busy.Follow(n, n-1, 4)
	}
	busy.SetFollowingLimit(77)
	got := map[string][]byte{}
	for more := true; more; {
		var err error
		if more, err = f.Next(3, func(key, value []byte) error {
			got[string(key)] = bytes.Clone(value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	f.Commit()
	if !equalRecords(got, want) {
		t.Error("the records are not those of the graph as it was frozen")
	}
	if loaded, err := load(Options{}, sortedRecords(got)); err != nil || loaded.Checksum() != frozeAt {
		t.Error(err, "or another checksum")
	}
	for key, value := range dump(t, busy) {
		if got[key] = value; value == nil {
			delete(got, key)
		}
	}
	loaded, err := load(Options{}, sortedRecords(got))
	if err != nil || loaded.Checksum() != busy.Checksum() {
		t.Fatal(err, "or another checksum after the second freeze")
	}
	checkAll(t, busy, loaded)
}

func TestAbortGivesEverythingBack(t *testing.T) {
	calm, busy := newCrowd(t, 1000), newCrowd(t, 1000)
	for _, g := range []*Graph{calm, busy} {
		grow(g, 700)
	}
	for _, steps := range []int{0, 1, 5, 1 << 30} {
		f := busy.Freeze()
		f.Next(steps, func(key, value []byte) error { return nil })
		busy.Follow(900, 901, 1)
		f.Abort()
		busy.Unfollow(900, 901)
	}
	got := dump(t, busy)
	// The chunks of 900 and 901 are gone again, which is stored as such.
	for _, owner := range []uint32{listOwner(900, following), listOwner(901, followers)} {
		key := string(appendChunkKey(nil, chunkID{owner, 0}))
		if value, ok := got[key]; !ok || value != nil {
			t.Errorf("chunk %x is %x, %v", key, value, ok)
		}
		delete(got, key)
	}
	if !equalRecords(got, dump(t, calm)) {
		t.Error("the records differ from those of a graph that was never frozen")
	}
}

func TestFrozenMisuse(t *testing.T) {
	ignore := func(key, value []byte) error { return nil }
	for name, misuse := range map[string]func(g *Graph, f *Frozen){
		"two at once":      func(g *Graph, f *Frozen) { g.Freeze() },
		"commit too early": func(g *Graph, f *Frozen) { f.Commit() },
		"next after abort": func(g *Graph, f *Frozen) { f.Abort(); f.Next(1, ignore) },
		"commit twice":     func(g *Graph, f *Frozen) { f.Next(9, ignore); f.Commit(); f.Commit() },
	} {
		g := newCrowd(t, 1)
		f := g.Freeze()
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse(g, f)
		}()
	}
}

func TestBitset(t *testing.T) {
	var b, other bitset
	members := []uint32{0, 1, 63, 64, bitPageBits - 1, 3 * bitPageBits, 3*bitPageBits + 64}
	for i, m := range members {
		if i%2 == 0 {
			b.add(m)
		} else {
			other.add(m)
		}
	}
	b.merge(&other)
	var got []uint32
	for m, ok := b.next(0); ok; m, ok = b.next(m + 1) {
		got = append(got, m)
		if !b.has(m) || b.has(m+2) && m != 62 && m > 64 {
			t.Errorf("has(%d) or has(%d) is wrong", m, m+2)
		}
	}
	if len(got) != len(members) {
		t.Errorf("members %v, want %v", got, members)
	}
	for i, m := range members {
		if got[i] != m {
			t.Errorf("member %d is %d, want %d", i, got[i], m)
		}
	}
	if _, ok := b.next(math.MaxUint32); ok || b.has(math.MaxUint32) {
		t.Error("the largest number is a member")
	}
}

// All reads may run at the same time; the race detector watches.
func TestConcurrentReads(t *testing.T) {
	a, _ := newPair(t, 10)
	a.Follow(0, 1, 1)
	g := newCrowd(t, 3000)
	grow(g, 2900)
	f := g.Freeze()
	defer f.Abort()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			types := make([]FollowType, 3)
			uids := make([]shard.UID, 1)
			for n := range shard.UID(3000) {
				id := g.UserID(n)
				if g.LookupMany([][]byte{id}, uids); uids[0] != n || g.Lookup(id) != n {
					t.Errorf("user %d is %d", n, uids[0])
				}
				g.FollowTypes(n, []shard.UID{0, 1, n}, types)
				g.Counts(n)
				if n%100 == 0 {
					for kind := range Mutual + 1 {
						g.Page(kind, 0, Newest, 500, nil)
					}
					g.Stats()
				}
				if items, _ := a.Outbox(1, 0, 10, nil); len(items) != 1 {
					t.Errorf("%d items wait", len(items))
				}
			}
		})
	}
	wg.Wait()
}
