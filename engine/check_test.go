package engine

import (
	"errors"
	"testing"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Check finds whatever breaks an invariant, and a Loader whatever of it would be
// stored.
func TestCheckAndLoaderFindBrokenInvariants(t *testing.T) {
	force := func(uid shard.UID) func(g *Graph) {
		return func(g *Graph) { g.addEdge(0, following, neighbors.MakeKey(9, uint32(uid))) }
	}
	for _, test := range []struct {
		name   string
		damage func(g *Graph)
		loads  bool // stored, it is right again or cannot be seen
	}{
		{"nothing", func(g *Graph) {}, true},
		{"follows oneself", force(0), false},
		{"follows an unknown user", force(6), false},
		{"follows no user", force(shard.NoUID), false},
		{"follows more than ever allowed", func(g *Graph) { g.limit, g.highest = 1, 1 }, false},
		{"mutual count", func(g *Graph) { *g.mutual(0)++ }, true},
		{"count of edges", func(g *Graph) { g.edges[followers]++ }, false},
		{"sum of edges", func(g *Graph) { g.edgeSum++ }, false},
		{"one end within the shard", force(4), true},
		{"another time at the other end", func(g *Graph) {
			g.removeEdge(0, following, neighbors.MakeKey(5, 2))
			g.addEdge(0, following, neighbors.MakeKey(6, 2))
		}, true},
		{"item of an unknown user", func(g *Graph) { g.outbox[1].at(1).sourceRemove = 3 << 1 }, false},
		{"item for another shard", func(g *Graph) { g.outbox[1].at(1).target = 2 }, false},
		{"item for no user", func(g *Graph) { g.outbox[1].at(1).target = shard.NoUID }, false},
		{"stream to itself", func(g *Graph) { g.marks[0] = 1 }, false},
		{"users without a place", func(g *Graph) { g.users = append(g.users, new(userPage)) }, true},
	} {
		g, _ := newPair(t, 10)
		g.Follow(0, 2, 5)
		g.Follow(0, 1, 6)
		g.Follow(0, 3, 7)
		test.damage(g)
		err := g.Check()
		if errors.Is(err, ErrInvariant) != (test.name != "nothing") {
			t.Errorf("%s: Check returns %v", test.name, err)
		}
		_, err = load(Options{Layout: g.layout}, sortedRecords(dump(t, g)))
		if test.loads && err != nil || !test.loads && !isStoredError(err) {
			t.Errorf("%s: Loader returns %v", test.name, err)
		}
	}
}
