package names

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func seeded(t testing.TB, seed uint64) *rand.Rand {
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func randomID(r *rand.Rand) string {
	id := strconv.FormatUint(r.Uint64N(1<<r.IntN(40)), 36)
	if r.IntN(20) == 0 {
		id += strings.Repeat("x", r.IntN(MaxIDBytes-len(id)+1))
	}
	return id
}

func TestTableAgainstMap(t *testing.T) {
	steps := 300_000
	if testing.Short() {
		steps = 30_000
	}
	r := seeded(t, rand.Uint64())
	table := New()
	model := map[string]uint32{}
	var order []string
	var views [][]byte // handed out early, must stay right
	for range steps {
		id := randomID(r)
		want, known := model[id]
		if n, ok := table.Lookup([]byte(id)); ok != known || ok && n != want {
			t.Fatalf("Lookup(%q) = %d, %v, want %d, %v", id, n, ok, want, known)
		}
		if r.IntN(2) == 0 {
			continue
		}
		buffer := []byte(id)
		n, added := table.Intern(buffer)
		clear(buffer) // the table must have its own copy
		if !known {
			want = uint32(len(order))
			model[id] = want
			order = append(order, id)
			views = append(views, table.ID(want))
		}
		if n != want || added == known {
			t.Fatalf("Intern(%q) = %d, %v, want %d, %v", id, n, added, want, !known)
		}
	}
	if table.Len() != len(order) {
		t.Fatalf("Len %d, want %d", table.Len(), len(order))
	}
	for n, id := range order {
		if string(table.ID(uint32(n))) != id || string(views[n]) != id {
			t.Fatalf("ID(%d) = %q, early view %q, want %q", n, table.ID(uint32(n)), views[n], id)
		}
	}
	if table.ID(uint32(len(order))) != nil || table.ID(Unknown) != nil {
		t.Fatal("a number out of range has a name")
	}
	checkLookupMany(t, r, table, model, order)
}

func checkLookupMany(t *testing.T, r *rand.Rand, table *Table, model map[string]uint32, order []string) {
	t.Helper()
	for _, size := range []int{0, 1, 63, 64, 65, 300} {
		ids := make([][]byte, size)
		ns := make([]uint32, size)
		for i := range ids {
			if ids[i] = []byte(randomID(r)); r.IntN(3) > 0 {
				ids[i] = []byte(order[r.IntN(len(order))])
			}
		}
		table.LookupMany(ids, ns)
		for i, id := range ids {
			want, ok := model[string(id)]
			if !ok {
				want = Unknown
			}
			if ns[i] != want {
				t.Fatalf("LookupMany of %d: %q is %d, want %d", size, id, ns[i], want)
			}
		}
	}
}

// Names whose hashes are equal in every bit, and names that share the slot's
// bits but not the segment's, must still be told apart, also while segments grow.
func TestCollisions(t *testing.T) {
	table := New()
	hash := func(i int) uint64 { return uint64(i%3)<<56 | uint64(i%2)<<24 }
	id := func(i int) []byte { return fmt.Appendf(nil, "user %d", i) }
	const count = 2000
	for i := range count {
		if _, ok := table.find(hash(i), id(i)); ok {
			t.Fatalf("%q is known too early", id(i))
		}
		if n, added := table.intern(hash(i), id(i)); n != uint32(i) || !added {
			t.Fatalf("intern %q = %d, %v", id(i), n, added)
		}
	}
	for i := range count {
		if n, ok := table.find(hash(i), id(i)); n != uint32(i) || !ok {
			t.Fatalf("find %q = %d, %v", id(i), n, ok)
		}
		if n, added := table.intern(hash(i), id(i)); n != uint32(i) || added {
			t.Fatalf("intern %q again = %d, %v", id(i), n, added)
		}
	}
	// Also in a batch, where the last name is unknown but has a known one's hash.
	var hashes [stageNames]uint64
	var ids [stageNames][]byte
	var ns [stageNames]uint32
	for i := range ids {
		n := count - stageNames + 1 + i
		hashes[i], ids[i] = hash(n), id(n)
	}
	table.findStage(&hashes, ids[:], ns[:])
	for i, n := range ns {
		if want := uint32(count - stageNames + 1 + i); n != want && (i < stageNames-1 || n != Unknown) {
			t.Errorf("%q is %d in a batch", ids[i], n)
		}
	}
	if ns[stageNames-1] != Unknown {
		t.Errorf("an unknown name is %d", ns[stageNames-1])
	}
}

func TestSegmentsStayBelowTheirLoad(t *testing.T) {
	table := New()
	for i := range 50_000 {
		table.Intern(fmt.Appendf(nil, "user-%d", i))
	}
	total := 0
	for i := range table.segments {
		s := &table.segments[i]
		total += s.used
		if s.used*maxLoadDenominator > len(s.slots)*maxLoadNumerator || s.used == len(s.slots) {
			t.Errorf("segment %d has %d names in %d slots", i, s.used, len(s.slots))
		}
		if s.used == 0 {
			t.Errorf("segment %d is empty: the hash does not spread", i)
		}
	}
	if total != table.Len() {
		t.Errorf("the segments have %d names of %d", total, table.Len())
	}
}

func TestInternRefuses(t *testing.T) {
	table := New()
	for _, id := range [][]byte{nil, {}, bytes.Repeat([]byte("x"), MaxIDBytes+1)} {
		if n, added := table.Intern(id); n != Unknown || added {
			t.Errorf("Intern of %d bytes = %d, %v", len(id), n, added)
		}
	}
	if _, ok := table.Lookup(nil); ok || table.Len() != 0 {
		t.Error("the empty id is known")
	}
}

func TestBlocksOfLongestNames(t *testing.T) {
	table := New()
	for i := range 1000 {
		id := []byte(strings.Repeat("z", MaxIDBytes-6) + fmt.Sprintf("%06d", i))
		if n, added := table.Intern(id); n != uint32(i) || !added || !bytes.Equal(table.ID(n), id) {
			t.Fatalf("name %d is %q", i, table.ID(n))
		}
	}
}

func TestConcurrentReads(t *testing.T) {
	table := New()
	for i := range 10_000 {
		table.Intern(fmt.Appendf(nil, "u%d", i))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ns := make([]uint32, 1)
			for i := range uint32(10_000) {
				id := table.ID(i)
				if n, ok := table.Lookup(id); n != i || !ok {
					t.Errorf("%q is %d", id, n)
				}
				if table.LookupMany([][]byte{id}, ns); ns[0] != i {
					t.Errorf("%q is %d in a batch", id, ns[0])
				}
			}
		})
	}
	wg.Wait()
}
