package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/kithgraph/kith/shard"
)

func scenarios(short bool) []scenario {
	all := []scenario{
		{name: "dense", shards: 4, users: 24, limit: 9, operations: 1_000_000, loadEvery: 2},
		{name: "twins", shards: 2, users: 2500, limit: 2000, celebrities: 2, operations: 300_000, loadEvery: 20, twins: true},
		{name: "alone", shards: 1, users: 300, limit: 60, celebrities: 3, operations: 600_000, loadEvery: 60},
		{name: "middle", shards: 4, users: 1500, limit: 700, celebrities: 6, operations: 500_000, loadEvery: 50},
		{name: "celebrities", shards: 2, users: 9000, limit: 5000, celebrities: 2, operations: 500_000, loadEvery: 100},
	}
	if short {
		for i := range all {
			all[i].operations /= 20
		}
	}
	return all
}

// A cluster under random operations gives the answers of plain maps, whatever is
// frozen, stored, given up, loaded and replayed in between.
func TestClusterAgainstMaps(t *testing.T) {
	for _, s := range scenarios(testing.Short()) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			newCluster(t, s, seed).run()
		})
	}
}

func (c *cluster) run() {
	c.register(2)
	for step := range c.s.operations {
		if len(c.users) < c.s.users && c.r.IntN(3) == 0 {
			c.register(len(c.users) + 1)
		}
		c.step()
		if step%(c.s.operations/4) == 0 {
			c.compareAll()
		}
	}
	for s := range c.storage {
		c.finishStoring(shard.ID(s))
		c.freeze(shard.ID(s), true)
		c.finishStoring(shard.ID(s))
	}
	c.drain()
	c.compareAll()
	c.compareEnds()
	c.t.Logf("%d commits, %d loads, %d aborts, longest lists %v", c.commits, c.loads, c.aborts, c.longest())
	if c.loads == 0 || c.aborts == 0 {
		c.t.Fatal("too little was stored")
	}
}

// longest returns the lengths of the longest list of each kind.
func (c *cluster) longest() (l Counts) {
	for _, uid := range c.users {
		counts := c.graphs[c.layout.HomeOf(uid)].Counts(uid)
		l.Followers = max(l.Followers, counts.Followers)
		l.Following = max(l.Following, counts.Following)
		l.Mutual = max(l.Mutual, counts.Mutual)
	}
	return l
}

// step makes one random operation.
func (c *cluster) step() {
	me, target := c.randomCelebrity(6), c.randomCelebrity(3)
	from, to := c.randomPair()
	switch p := c.r.IntN(1000); {
	case p < 550:
		c.follow(me, target, c.randomTime())
	case p < 800:
		c.unfollow(c.someEdge(me, target))
	case p < 880 && from != to:
		c.deliver(from, to)
	case p < 920 && from != to:
		c.trim(from, to)
	case p < 955:
		c.stepStorage(from)
	case p < 990:
		c.compareTypes(me)
	case p < 999:
		c.compareUser(me)
	default:
		c.limit = max(1, c.s.limit-2+c.r.IntN(4))
		for s := range c.graphs {
			limit := uint32(c.limit)
			c.do(shard.ID(s), func(g *Graph) any { g.SetFollowingLimit(limit); return nil })
		}
	}
}

func (c *cluster) randomUser() shard.UID { return c.users[c.r.IntN(len(c.users))] }

// randomCelebrity is a celebrity one time in oneIn, else anybody.
func (c *cluster) randomCelebrity(oneIn int) shard.UID {
	if c.s.celebrities > 0 && c.r.IntN(oneIn) == 0 {
		return c.users[c.r.IntN(min(c.s.celebrities, len(c.users)))]
	}
	return c.randomUser()
}

func (c *cluster) randomPair() (from, to shard.ID) {
	return shard.ID(c.r.IntN(c.s.shards)), shard.ID(c.r.IntN(c.s.shards))
}

// randomTime is mostly now, sometimes equal to others, at times from an import.
func (c *cluster) randomTime() uint32 {
	switch c.r.IntN(10) {
	case 0:
		return c.r.Uint32()
	case 1:
		return uint32(c.r.IntN(3))
	}
	c.now += uint32(c.r.IntN(2) * c.r.IntN(1000))
	return c.now
}

// someEdge prefers an edge that exists to the one given. Lists of graphs that
// were compared are as good a source as the maps, and have an order.
func (c *cluster) someEdge(me, target shard.UID) (shard.UID, shard.UID) {
	if c.r.IntN(4) > 0 {
		before := Position(c.randomTime()) << 32
		if page := c.graphs[c.layout.HomeOf(me)].Page(Following, me, before, 1, nil); len(page) > 0 {
			return me, page[0].UID
		}
	}
	return me, target
}
