package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// scenario is the shape of one random run of a cluster.
type scenario struct {
	name                 string
	shards, users, limit int
	celebrities          int // users who get a third of all follows, and follow a sixth
	operations           int
	loadEvery            int  // commits, on average, from one load to the next
	twins                bool // run every graph twice and compare all that they say
}

// cluster is several graphs with a simulated courier, and the same in plain maps.
// Every change goes through both, every answer is compared.
type cluster struct {
	t      testing.TB
	r      *rand.Rand
	s      scenario
	layout shard.Layout
	graphs []*Graph
	twins  []*Graph
	users  []shard.UID
	ids    map[shard.UID]string
	now    uint32
	limit  int

	out     []map[shard.UID]map[shard.UID]uint32 // by shard: whom its users follow, since when
	in      []map[shard.UID]map[shard.UID]uint32 // by shard: who follows them
	queues  [][]modelQueue                       // [from][to]
	marks   [][]uint64                           // [to][from]
	storage []modelStorage

	commits, loads, aborts int
}

type modelQueue struct {
	trimmed uint64
	items   []Item
}

func (q *modelQueue) last() uint64 { return q.trimmed + uint64(len(q.items)) }

func newCluster(t testing.TB, s scenario, seed uint64) *cluster {
	layout, err := shard.NewLayout(s.shards)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		t: t, s: s, layout: layout, limit: s.limit, now: 1_700_000_000,
		r:   rand.New(rand.NewPCG(seed, 2)),
		ids: map[shard.UID]string{},
	}
	for i := range s.shards {
		c.graphs = append(c.graphs, newGraph(t, layout, shard.ID(i), s.limit))
		c.twins = append(c.twins, newGraph(t, layout, shard.ID(i), s.limit))
		c.out = append(c.out, map[shard.UID]map[shard.UID]uint32{})
		c.in = append(c.in, map[shard.UID]map[shard.UID]uint32{})
		c.queues = append(c.queues, make([]modelQueue, s.shards))
		c.marks = append(c.marks, make([]uint64, s.shards))
		c.storage = append(c.storage, modelStorage{records: map[string][]byte{}})
	}
	return c
}

func newGraph(t testing.TB, layout shard.Layout, s shard.ID, limit int) *Graph {
	t.Helper()
	g, err := New(Options{Layout: layout, Shard: s, FollowingLimit: uint32(limit)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// do applies a change to a shard's graph, to its twin, and keeps it for the
// replay over what is being stored. The result must be comparable.
func (c *cluster) do(s shard.ID, change func(*Graph) any) any {
	result := change(c.graphs[s])
	if c.s.twins {
		if twin := change(c.twins[s]); twin != result {
			c.t.Fatalf("twin says %v, not %v", twin, result)
		}
	}
	if st := &c.storage[s]; st.frozen != nil {
		st.replay = append(st.replay, func(g *Graph) {
			if again := change(g); again != result {
				c.t.Fatalf("the replay says %v, not %v", again, result)
			}
		})
	}
	return result
}

// register adds users until there are count.
func (c *cluster) register(count int) {
	for len(c.users) < count {
		id := fmt.Sprintf("user %d", len(c.users))
		home := c.layout.Home([]byte(id))
		uid := c.do(home, func(g *Graph) any {
			uid, err := g.Register([]byte(id))
			if err != nil {
				c.t.Fatal(err)
			}
			return uid
		}).(shard.UID)
		c.users = append(c.users, uid)
		c.ids[uid] = id
	}
}

// outcome is the answer to a Follow or Unfollow.
type outcome struct {
	o   Outcome
	seq uint64
}

func (c *cluster) follow(me, target shard.UID, time uint32) {
	from, to := c.layout.HomeOf(me), c.layout.HomeOf(target)
	got := c.do(from, func(g *Graph) any {
		o, seq := g.Follow(me, target, time)
		return outcome{o, seq}
	})
	want := outcome{o: Followed}
	_, known := c.out[from][me][target]
	switch {
	case me == target:
		want.o = SelfFollow
	case known:
		want = outcome{Already, c.waiting(from, to)}
	case len(c.out[from][me]) >= c.limit:
		want.o = FollowingFull
	default:
		put(c.out[from], me, target, time)
		want.seq = c.queue(Item{Source: me, Target: target, Time: time})
	}
	if got != want {
		c.t.Fatalf("follow of %d by %d: %v, want %v", target, me, got, want)
	}
}

func (c *cluster) unfollow(me, target shard.UID) {
	from, to := c.layout.HomeOf(me), c.layout.HomeOf(target)
	got := c.do(from, func(g *Graph) any {
		o, seq := g.Unfollow(me, target)
		return outcome{o, seq}
	})
	want := outcome{NotFollowing, c.waiting(from, to)}
	if time, known := c.out[from][me][target]; known {
		delete(c.out[from][me], target)
		want = outcome{Unfollowed, c.queue(Item{Remove: true, Source: me, Target: target, Time: time})}
	}
	if got != want {
		c.t.Fatalf("unfollow of %d by %d: %v, want %v", target, me, got, want)
	}
}

func put(sets map[shard.UID]map[shard.UID]uint32, owner, member shard.UID, time uint32) {
	if sets[owner] == nil {
		sets[owner] = map[shard.UID]uint32{}
	}
	sets[owner][member] = time
}

// waiting is the sequence number of an answer that changed nothing.
func (c *cluster) waiting(from, to shard.ID) uint64 {
	if q := &c.queues[from][to]; len(q.items) > 0 {
		return q.last()
	}
	return 0
}

// queue hands an item to its target's shard, at once if that is the source's too.
func (c *cluster) queue(item Item) uint64 {
	from, to := c.layout.HomeOf(item.Source), c.layout.HomeOf(item.Target)
	if from == to {
		c.arrive(to, item)
		return 0
	}
	q := &c.queues[from][to]
	q.items = append(q.items, item)
	return q.last()
}

func (c *cluster) arrive(to shard.ID, item Item) {
	if item.Remove {
		delete(c.in[to][item.Target], item.Source)
		return
	}
	put(c.in[to], item.Target, item.Source, item.Time)
}

// delivery is the answer to a Deliver.
type delivery struct {
	applied uint64
	kind    string
}

// deliver lets the courier take a batch from one shard to another: the next one,
// one that was delivered before, or one behind a gap; sometimes with an item that
// cannot be.
func (c *cluster) deliver(from, to shard.ID) {
	q, mark := &c.queues[from][to], c.marks[to][from]
	after := mark
	switch c.r.IntN(6) {
	case 0:
		after = q.trimmed + c.r.Uint64N(mark-q.trimmed+1)
	case 1:
		after = mark + c.r.Uint64N(4)
	case 2:
		after = c.r.Uint64N(q.trimmed + 1)
	}
	limit := c.r.IntN(40)
	items, first := c.graphs[from].Outbox(to, after, limit, nil)
	c.compareOutbox(q, after, limit, items, first)
	spoilt := -1
	if len(items) > 0 && c.r.IntN(10) == 0 {
		spoilt = c.r.IntN(len(items))
		items[spoilt] = c.spoil(items[spoilt], from, to)
	}
	got := c.do(to, func(g *Graph) any {
		applied, err := g.Deliver(from, first, items)
		return delivery{applied, kindOf(err)}
	})
	want := delivery{mark, ""}
	switch {
	case first > mark+1:
		want.kind = "gap"
	case spoilt >= 0 && first+uint64(spoilt) > mark:
		want.kind = "item"
	default:
		for i, item := range items {
			if first+uint64(i) > mark {
				c.arrive(to, item)
				c.marks[to][from]++
			}
		}
		want.applied = c.marks[to][from]
	}
	if got != want {
		c.t.Fatalf("delivery from %d to %d: %v, want %v", from, to, got, want)
	}
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, ErrGap):
		return "gap"
	case errors.Is(err, ErrItem):
		return "item"
	case err != nil:
		return err.Error()
	}
	return ""
}

func (c *cluster) spoil(item Item, from, to shard.ID) Item {
	switch c.r.IntN(4) {
	case 0:
		item.Source = c.layout.UID(1, to)
	case 1:
		item.Target = c.layout.UID(1, from)
	case 2:
		item.Target = c.layout.UID(c.graphs[to].Users(), to)
	default:
		item.Source = c.layout.UID(c.layout.UsersPerShard(), from)
	}
	return item
}

func (c *cluster) compareOutbox(q *modelQueue, after uint64, limit int, items []Item, first uint64) {
	c.t.Helper()
	start := max(after, q.trimmed)
	var want []Item
	if start < q.last() {
		want = q.items[start-q.trimmed:]
		want = want[:min(limit, len(want))]
	}
	if first != start+1 || !slices.Equal(items, want) {
		c.t.Fatalf("outbox after %d: %v from %d, want %v from %d", after, items, first, want, start+1)
	}
}

func (c *cluster) trim(from, to shard.ID) {
	q, mark := &c.queues[from][to], c.marks[to][from]
	applied := c.r.Uint64N(mark + 1)
	if c.r.IntN(2) == 0 {
		applied = mark
	}
	c.do(from, func(g *Graph) any { g.Trim(to, applied); return nil })
	if applied > q.trimmed {
		q.items = slices.Delete(q.items, 0, int(applied-q.trimmed))
		q.trimmed = applied
	}
	if trimmed, last := c.graphs[from].OutboxRange(to); trimmed != q.trimmed || last != q.last() {
		c.t.Fatalf("outbox range %d, %d, want %d, %d", trimmed, last, q.trimmed, q.last())
	}
}

// drain delivers and trims until every outbox is empty.
func (c *cluster) drain() {
	for from := range shard.ID(c.s.shards) {
		for to := range shard.ID(c.s.shards) {
			for from != to && (c.marks[to][from] < c.queues[from][to].last() || len(c.queues[from][to].items) > 0) {
				c.deliver(from, to)
				c.trim(from, to)
			}
		}
	}
}
