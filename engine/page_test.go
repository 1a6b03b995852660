package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// newCrowd returns the graph of a single shard with that many users.
func newCrowd(t testing.TB, users int) *Graph {
	t.Helper()
	g := newGraph(t, shard.Layout{}, 0, users)
	for i := range users {
		if _, err := g.Register(fmt.Appendf(nil, "user %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// walk is one list walked in pages while others come and go.
type walk struct {
	t      *testing.T
	r      *rand.Rand
	g      *Graph
	kind   ListKind
	me     shard.UID
	stable []Edge // members throughout, newest first
	others []shard.UID
	times  uint32 // follow times are below it
}

// Walking a list by positions shows each member that was there throughout exactly
// once, in order, whatever is added or removed meanwhile (invariant 10).
func TestPagesShowStableMembersOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	sizes := []struct{ runs, users, stable, limit int }{
		{1500, 60, 12, 5},
		{200, 400, 100, 30},
		{12, 6000, 1500, 500},
	}
	for _, size := range sizes {
		if testing.Short() {
			size.runs /= 10
		}
		g := newCrowd(t, size.users)
		for range size.runs {
			for kind := range Mutual + 1 {
				w := &walk{t: t, r: r, g: g, kind: kind, me: shard.UID(r.IntN(size.users)), times: 1 + r.Uint32N(5000)}
				w.fill(r.IntN(size.stable + 1))
				w.run(1 + r.IntN(size.limit))
				w.empty()
			}
		}
		checkAll(t, g)
	}
}

// fill gives me the stable members. Those of a mutual list have been there in both
// directions, which does no harm to the other lists.
func (w *walk) fill(stable int) {
	for i, n := range w.r.Perm(int(w.g.Users())) {
		other := shard.UID(n)
		if other == w.me {
			continue
		}
		if i >= stable {
			w.others = append(w.others, other)
			continue
		}
		out, in := w.r.Uint32N(w.times), w.r.Uint32N(w.times)
		w.g.Follow(w.me, other, out)
		w.g.Follow(other, w.me, in)
		if w.kind == Followers {
			out = in
		}
		w.stable = append(w.stable, Edge{other, out})
	}
	slices.SortFunc(w.stable, func(a, b Edge) int { return -comparePositions(a, b) })
	w.disturb(2 * stable)
}

func comparePositions(a, b Edge) int {
	if a.Position() < b.Position() {
		return -1
	}
	return 1
}

// disturb adds and removes edges between me and those who are not stable.
func (w *walk) disturb(steps int) {
	for range steps {
		a, b := w.me, w.others[w.r.IntN(len(w.others))]
		if w.r.IntN(2) == 0 {
			a, b = b, a
		}
		if w.r.IntN(2) == 0 {
			w.g.Follow(a, b, w.r.Uint32N(w.times))
		} else {
			w.g.Unfollow(a, b)
		}
	}
}

func (w *walk) run(limit int) {
	isStable := map[shard.UID]bool{}
	for _, e := range w.stable {
		isStable[e.UID] = true
	}
	var got []Edge
	for before := Newest; ; {
		page := w.g.Page(w.kind, w.me, before, limit, nil)
		for _, e := range page {
			if e.Position() >= before {
				w.t.Fatalf("%v is not before %x", e, before)
			}
			before = e.Position()
			if isStable[e.UID] {
				got = append(got, e)
			}
		}
		if len(page) < limit {
			break
		}
		w.disturb(w.r.IntN(2 * limit))
	}
	if !slices.Equal(got, w.stable) {
		w.t.Fatalf("list %d of %d: stable members %v, want %v", w.kind, w.me, got, w.stable)
	}
}

// empty removes all edges, for the next walk.
func (w *walk) empty() {
	for other := range shard.UID(w.g.Users()) {
		w.g.Unfollow(w.me, other)
		w.g.Unfollow(other, w.me)
	}
	if got := w.g.Counts(w.me); got != (Counts{}) {
		w.t.Fatalf("counts %v of nothing", got)
	}
}

// A page of mutuals is full although most of whom I follow don't follow back.
func TestMutualPagesAreFull(t *testing.T) {
	g := newCrowd(t, 7001)
	var want []Edge
	for n := uint32(1); n <= 7000; n++ {
		g.Follow(0, shard.UID(n), n/3)
		if n%7 == 0 {
			g.Follow(shard.UID(n), 0, 9999-n)
			want = append(want, Edge{shard.UID(n), n / 3})
		}
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 100, 500, 513, 1000, 5000} {
		var got []Edge
		for before := Newest; ; {
			page := g.Page(Mutual, 0, before, limit, nil)
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			before = page[limit-1].Position()
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d mutuals, want %d", limit, len(got), len(want))
		}
	}
	checkAll(t, g)
}
