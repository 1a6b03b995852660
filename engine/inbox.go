package engine

import (
	"fmt"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Item tells the shard in which Target lives that Source, of the sending shard,
// follows Target since Time, or with Remove that it no longer does.
type Item struct {
	Remove         bool
	Source, Target shard.UID
	Time           uint32 // seconds since 1970 UTC, of the follow that begins or ends
}

// InboxMark returns the number of the last item applied from a shard.
func (g *Graph) InboxMark(from shard.ID) uint64 {
	if !g.otherShard(from) {
		return 0
	}
	return g.marks[from]
}

// Deliver applies items of the stream from another shard, which are numbered
// first, first+1 and so on, and returns the number of the last one applied so far:
// the mark. Items up to the mark are skipped, unlooked at.
//
// If items are missing between the mark and first, nothing is applied and the
// error wraps ErrGap. If one of those to apply cannot be an item of this stream
// (a source that cannot live there, a target that does not live here), nothing is
// applied and the error wraps ErrItem: the mark stays, because to skip an item
// would lose an edge for good. Both are the same on every replica.
func (g *Graph) Deliver(from shard.ID, first uint64, items []Item) (applied uint64, err error) {
	if !g.otherShard(from) {
		return 0, fmt.Errorf("deliver from %d: %w", from, ErrShard)
	}
	mark := g.marks[from]
	if first == 0 {
		return mark, fmt.Errorf("deliver from %d: number 0: %w", from, ErrItem)
	}
	if first-1 > mark {
		return mark, fmt.Errorf("deliver from %d: first %d, mark %d: %w", from, first, mark, ErrGap)
	}
	known := mark - (first - 1)
	if uint64(len(items)) <= known {
		return mark, nil
	}
	items = items[known:]
	for i, item := range items {
		if !g.canDeliver(from, item) {
			return mark, fmt.Errorf("deliver from %d: number %d (source %d, target %d): %w",
				from, mark+1+uint64(i), item.Source, item.Target, ErrItem)
		}
	}
	for _, item := range items {
		g.deliver(item)
	}
	g.marks[from] = mark + uint64(len(items))
	return g.marks[from], nil
}

func (g *Graph) canDeliver(from shard.ID, item Item) bool {
	_, ok := g.resident(item.Target)
	return ok && g.layout.HomeOf(item.Source) == from && g.possible(item.Source)
}

// deliver makes the target's followers agree with what the source's shard says,
// which alone decides about the edge. In an unbroken cluster an edge to add is
// never there and one to remove always is, with the same time; after damage the
// item mends what it can instead of stopping the stream.
func (g *Graph) deliver(item Item) {
	n := g.layout.Local(item.Target)
	k := neighbors.MakeKey(item.Time, uint32(item.Source))
	if item.Remove {
		if old, ok := g.follower(n, k); ok {
			g.removeEdge(n, followers, old)
		}
		return
	}
	if g.addEdge(n, followers, k) {
		return
	}
	if old, ok := g.follower(n, k); ok && old != k {
		g.removeEdge(n, followers, old)
		g.addEdge(n, followers, k)
	}
}

// follower returns the key under which n's followers have k's uid.
func (g *Graph) follower(n uint32, k neighbors.Key) (neighbors.Key, bool) {
	list := *g.list(n, followers)
	if !g.pool.Contains(list, k.UID()) {
		return 0, false
	}
	// The expected key nearly always is the one: looking right there spares
	// a walk of a celebrity's whole order.
	var at [1]neighbors.Key
	if found := g.pool.Before(list, k+1, at[:0], 1); len(found) == 1 && found[0] == k {
		return k, true
	}
	return g.pool.Find(list, k.UID())
}
