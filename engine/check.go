package engine

import (
	"fmt"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Check walks everything and returns an error, wrapping ErrInvariant, for the
// first thing that is not as it must be: names and numbers (invariant 7), the cap
// (4), counts against lists walked (5), both sides of edges within the shard (2),
// the members that lists and outboxes may have, and the structure of the lists.
func (g *Graph) Check() error {
	if pages := (int(g.Users()) + pageUsers - 1) / pageUsers; pages != len(g.users) {
		return broken("%d users in %d pages", g.Users(), len(g.users))
	}
	var c checker
	for n := range g.Users() {
		if err := g.checkName(n); err != nil {
			return err
		}
		if err := g.checkUser(n, &c); err != nil {
			return err
		}
	}
	if c.edges != g.edges {
		return broken("%d members of lists, counted %d", c.edges, g.edges)
	}
	if c.edgeSum != g.edgeSum {
		return broken("the sum of edges is not that of the lists")
	}
	if c.local[following] != c.local[followers] {
		return broken("edges within the shard differ between their ends")
	}
	return g.checkOutbox()
}

// checker adds up, over all users, what must agree in the end.
type checker struct {
	edges   [2]uint64
	edgeSum uint64
	local   [2]uint64 // sums of localEdgeHash, by the list read
}

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvariant}, args...)...)
}

func (g *Graph) checkName(n uint32) error {
	id := g.names.ID(n)
	if err := shard.CheckUserID(id); err != nil {
		return broken("name %d: %v", n, err)
	}
	if uid := g.Lookup(id); uid != g.uid(n) || g.layout.Home(id) != g.shard {
		return broken("name %d, %q, leads to %d", n, id, uid)
	}
	return nil
}

func (g *Graph) checkUser(n uint32, c *checker) error {
	if limit, count := g.highest, g.list(n, following).Len(); uint32(count) > limit {
		return broken("user %d follows %d, the limit never was above %d", n, count, limit)
	}
	for d := range direction(2) {
		if err := g.pool.Check(*g.list(n, d)); err != nil {
			return broken("user %d, list %d: %v", n, d, err)
		}
		if err := g.checkList(n, d, c); err != nil {
			return err
		}
	}
	return g.checkMutual(n)
}

func (g *Graph) checkList(n uint32, d direction, c *checker) error {
	me, count := g.uid(n), 0
	last := neighbors.Key(Newest)
	var err error
	g.eachKey(n, d, func(k neighbors.Key) {
		uid := shard.UID(k.UID())
		if err == nil && (uid == me || !g.possible(uid) || k >= last) {
			err = broken("user %d, list %d: %d at %d follows %d", n, d, uid, k.Time(), last)
		}
		last = k
		count++
		c.edgeSum += edgeHash(n, d, k)
		if g.layout.HomeOf(uid) != g.shard {
			return
		}
		source, target := me, uid
		if d == followers {
			source, target = uid, me
		}
		c.local[d] += localEdgeHash(source, target, k.Time())
	})
	if list := g.list(n, d); err == nil && count != list.Len() {
		err = broken("user %d, list %d: %d members, counted %d", n, d, count, list.Len())
	}
	c.edges[d] += uint64(count)
	return err
}

// checkMutual compares the mutual count with the lists' common members, counted
// and walked.
func (g *Graph) checkMutual(n uint32) error {
	var scratch [pageBatch]neighbors.Key
	walked, me := 0, *g.list(n, following)
	for before := neighbors.Key(Newest); ; {
		keys := g.pool.AndBefore(me, *g.list(n, followers), before, scratch[:0], pageBatch)
		walked += len(keys)
		if len(keys) < pageBatch {
			break
		}
		before = keys[pageBatch-1]
	}
	counted := g.pool.AndCount(me, *g.list(n, followers))
	if kept := *g.mutual(n); int(kept) != counted || counted != walked {
		return broken("user %d has %d mutuals, counted %d, walked %d", n, kept, counted, walked)
	}
	return nil
}

func (g *Graph) checkOutbox() error {
	for s := range g.outbox {
		q, to := &g.outbox[s], shard.ID(s)
		if q.trimmed > q.last || to == g.shard && (q.last != 0 || g.marks[s] != 0) {
			return broken("outbox for %d: trimmed %d, last %d", to, q.trimmed, q.last)
		}
		for number := q.trimmed + 1; number <= q.last; number++ {
			item := q.at(number)
			if item.sourceRemove>>1 >= g.Users() || g.layout.HomeOf(item.target) != to || !g.possible(item.target) {
				return broken("outbox for %d: item %d", to, number)
			}
		}
	}
	return nil
}
