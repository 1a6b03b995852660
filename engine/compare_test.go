package engine

import (
	"slices"

	"github.com/kithgraph/kith/shard"
)

// compareAll compares every user's lists, counts and types with the maps, and
// has every graph check itself.
func (c *cluster) compareAll() {
	c.t.Helper()
	for _, uid := range c.users {
		c.compareUser(uid)
	}
	for s, g := range c.graphs {
		if err := g.Check(); err != nil {
			c.t.Fatalf("shard %d: %v", s, err)
		}
		for from, want := range c.marks[s] {
			if got := g.InboxMark(shard.ID(from)); got != want {
				c.t.Fatalf("mark of %d in %d: %d, want %d", from, s, got, want)
			}
		}
		if g.FollowingLimit() != uint32(c.limit) {
			c.t.Fatalf("limit %d, want %d", g.FollowingLimit(), c.limit)
		}
	}
}

func (c *cluster) compareUser(uid shard.UID) {
	c.t.Helper()
	home := c.layout.HomeOf(uid)
	g, out, in := c.graphs[home], c.out[home][uid], c.in[home][uid]
	both := map[shard.UID]uint32{}
	for other, time := range out {
		if _, ok := in[other]; ok {
			both[other] = time
		}
	}
	want := Counts{uint32(len(in)), uint32(len(out)), uint32(len(both))}
	if got := g.Counts(uid); got != want {
		c.t.Fatalf("counts of %d: %v, want %v", uid, got, want)
	}
	for kind, members := range []map[shard.UID]uint32{in, out, both} {
		c.compareList(g, ListKind(kind), uid, members)
	}
	if id := g.UserID(uid); string(id) != c.ids[uid] || g.Lookup(id) != uid {
		c.t.Fatalf("user %d is %q", uid, id)
	}
}

// compareList walks a list in pages of a random length, which must be full but
// for the last.
func (c *cluster) compareList(g *Graph, kind ListKind, uid shard.UID, members map[shard.UID]uint32) {
	c.t.Helper()
	want := sortedEdges(members)
	limit := 1 + c.r.IntN(7)
	if len(want) > 50 {
		limit = 1 + c.r.IntN(700)
	}
	var got []Edge
	for before := Newest; ; {
		page := g.Page(kind, uid, before, limit, nil)
		got = append(got, page...)
		if len(page) < limit {
			break
		}
		before = page[limit-1].Position()
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("list %d of %d: %v, want %v", kind, uid, got, want)
	}
}

func sortedEdges(members map[shard.UID]uint32) []Edge {
	edges := make([]Edge, 0, len(members))
	for uid, time := range members {
		edges = append(edges, Edge{uid, time})
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		if a.Position() > b.Position() {
			return -1
		}
		return 1
	})
	return edges
}

// compareTypes checks one user against random others.
func (c *cluster) compareTypes(me shard.UID) {
	home := c.layout.HomeOf(me)
	others := []shard.UID{me, shard.NoUID}
	for range c.r.IntN(200) {
		others = append(others, c.users[c.r.IntN(len(c.users))])
	}
	got := make([]FollowType, len(others))
	for i := range got {
		got[i] = 77
	}
	c.graphs[home].FollowTypes(me, others, got)
	for i, other := range others {
		want := NoFollow
		if _, ok := c.out[home][me][other]; ok {
			want |= IFollow
		}
		if _, ok := c.in[home][me][other]; ok {
			want |= Follower
		}
		if got[i] != want {
			c.t.Fatalf("%d is %d to %d, want %d", other, got[i], me, want)
		}
	}
}

// compareEnds asserts invariant 2 for the whole cluster, with empty outboxes.
func (c *cluster) compareEnds() {
	c.t.Helper()
	for _, me := range c.users {
		for target, time := range c.out[c.layout.HomeOf(me)][me] {
			if got, ok := c.in[c.layout.HomeOf(target)][target][me]; !ok || got != time {
				c.t.Fatalf("%d follows %d since %d, the other end says %d, %v", me, target, time, got, ok)
			}
		}
	}
}
