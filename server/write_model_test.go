package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

const (
	modelClients = 16
	modelWrites  = 150 // of each client
	modelUsers   = 48
	modelLimit   = 12
)

// belief is what a client knows of one of its own edges.
type belief uint8

const (
	absent belief = iota
	present
	unknown
)

// modelClient writes on behalf of its own users only, one write at a time, so
// that it knows each of their edges but those of which it lost an answer.
type modelClient struct {
	t      *testing.T
	b      *writeBench
	rand   *rand.Rand
	number int
	edges  map[[2]string]belief
	codes  map[wire.Code]int
}

func modelUser(i int) string { return fmt.Sprintf("user%d", i) }

func (c *modelClient) run() {
	for range modelWrites {
		me := c.number + modelClients*c.rand.IntN(modelUsers/modelClients)
		e := follow(modelUser(me))
		for range 1 + c.rand.IntN(6) {
			e.Targets = append(e.Targets, []byte(modelUser(c.rand.IntN(modelUsers))))
		}
		e.Remove = c.rand.IntN(3) == 0
		e.NoWait = c.rand.IntN(4) == 0
		c.b.do(e)
		c.learn(e)
		c.checkVisible(e)
		<-time.After(time.Duration(c.rand.IntN(30)) * time.Millisecond)
	}
}

// learn takes over what the answer says, and compares it with what was known.
func (c *modelClient) learn(e *edgeWrite) {
	for i, target := range e.Targets {
		edge := [2]string{string(e.Me), string(target)}
		code := e.Code
		if code == wire.OK {
			code = e.Results[i].Code()
		}
		c.codes[code]++
		was := c.edges[edge]
		switch {
		case edge[0] == edge[1] && e.Code == wire.OK:
			if e.Remove != (code == wire.OK) || !e.Remove != (code == wire.SelfFollow) {
				c.t.Errorf("%v: %v", edge, code)
			}
		case edge[0] == edge[1]:
		case code == wire.Timeout:
			c.edges[edge] = unknown
		case code == wire.OK:
			now := present
			if e.Remove {
				now = absent
			}
			if unchanged := e.Results[i].Unchanged(); was != unknown && unchanged != (was == now) {
				c.t.Errorf("%v: remove %v, was %v, answered unchanged %v", edge, e.Remove, was, unchanged)
			}
			c.edges[edge] = now
		case code == wire.FollowingFull && was == present:
			c.t.Errorf("%v: %v, but is followed already", edge, code)
		case code != wire.Unavailable && code != wire.FollowingFull:
			c.t.Errorf("%v: unexpected %v", edge, code)
		}
	}
}

// checkVisible looks at both sides of an edge whose write was answered without
// pending. Nobody else writes this edge.
func (c *modelClient) checkVisible(e *edgeWrite) {
	if e.Code != wire.OK || e.Pending || e.NoWait {
		return
	}
	for i, target := range e.Targets {
		if e.Results[i].Code() != wire.OK {
			continue
		}
		edge := [2]string{string(e.Me), string(target)}
		follows := c.b.sees(edge[0], edge[1])&2 != 0
		followed := c.b.sees(edge[1], edge[0])&1 != 0
		if want := c.edges[edge] == present; follows != want || followed != want {
			c.t.Errorf("%v: answered %v, but follows %v and followed %v", edge, want, follows, followed)
		}
	}
}

// modelFaults makes everything below the writer unreliable until it is healed.
type modelFaults struct {
	mu     sync.Mutex
	rand   *rand.Rand
	healed bool
}

// chance is true in one of n cases, and never after the healing.
func (f *modelFaults) chance(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.healed && f.rand.IntN(n) == 0
}

func (f *modelFaults) upTo(d time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.rand.Int64N(int64(d)))
}

func (f *modelFaults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healed = true
}

func (f *modelFaults) prepare(b *writeBench, o *writerOptions) {
	for _, g := range b.groups {
		g.graph.SetFollowingLimit(modelLimit)
		g.delay = func() time.Duration {
			if f.chance(100) {
				return f.upTo(time.Second)
			}
			return f.upTo(5 * time.Millisecond)
		}
		g.fate = func() fate {
			switch {
			case f.chance(60):
				return isRefused
			case f.chance(60):
				return isUnknownApplied
			case f.chance(60):
				return isUnknownLost
			}
			return isApplied
		}
	}
	b.peers.misbehave(func(to shard.ID, payload []byte, done func(uint64, error)) {
		send := func() { b.writer.handleDeliver(to, payload, done) }
		switch {
		case f.chance(20): // lost
		case f.chance(20): // the answer is lost
			b.writer.handleDeliver(to, payload, func(uint64, error) {})
		case f.chance(10): // doubled
			b.writer.handleDeliver(to, payload, func(uint64, error) {})
			send()
		case f.chance(10): // late
			time.AfterFunc(f.upTo(3*time.Second), send)
		case f.chance(20): // doubled, and late once
			time.AfterFunc(f.upTo(8*time.Second), func() { b.writer.handleDeliver(to, payload, func(uint64, error) {}) })
			send()
		default:
			send()
		}
	})
	o.deliverWithin = 2 * time.Second
}

// depose takes leaderships away, and gives them back, until the stop.
func (f *modelFaults) depose(b *writeBench, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(f.upTo(300 * time.Millisecond)):
		}
		s := int(f.upTo(time.Duration(len(b.groups))))
		b.groups[s].depose()
		if f.chance(2) {
			<-time.After(f.upTo(10 * time.Millisecond)) // nobody is told yet
		}
		b.writer.onLeader(shard.ID(s), false)
		<-time.After(f.upTo(50 * time.Millisecond))
		b.groups[s].elect()
		b.writer.onLeader(shard.ID(s), true)
	}
}

func TestRandomWritesUnderFaults(t *testing.T) {
	r := newRand(t)
	for round := range 4 {
		seed := r.Uint64()
		synctest.Test(t, func(t *testing.T) { testRandomWrites(t, rand.New(rand.NewPCG(seed, uint64(round)))) })
	}
}

func testRandomWrites(t *testing.T, r *rand.Rand) {
	faults := &modelFaults{rand: rand.New(rand.NewPCG(r.Uint64(), 0))}
	b := newWriteBench(t, 4, faults.prepare)
	edges, codes := runModelClients(t, b, r, faults)
	faults.heal()
	settle(t, b)
	checkModel(t, b, edges)
	for _, code := range []wire.Code{wire.OK, wire.Unavailable, wire.Timeout, wire.FollowingFull} {
		if codes[code] == 0 {
			t.Errorf("no write was answered %v: the test does not reach it", code)
		}
	}
	t.Logf("answers %v", codes)
	b.close(context.Background())
}

func runModelClients(t *testing.T, b *writeBench, r *rand.Rand, faults *modelFaults) (map[[2]string]belief, map[wire.Code]int) {
	var clients, nemesis sync.WaitGroup
	stop := make(chan struct{})
	nemesis.Go(func() { faults.depose(b, stop) })
	all := make([]*modelClient, modelClients)
	for i := range all {
		all[i] = &modelClient{t: t, b: b, rand: rand.New(rand.NewPCG(r.Uint64(), 0)), number: i,
			edges: map[[2]string]belief{}, codes: map[wire.Code]int{}}
		clients.Go(all[i].run)
	}
	clients.Wait()
	close(stop)
	nemesis.Wait()
	edges, codes := map[[2]string]belief{}, map[wire.Code]int{}
	for _, c := range all {
		for edge, is := range c.edges {
			edges[edge] = is
		}
		for code, n := range c.codes {
			codes[code] += n
		}
	}
	return edges, codes
}

// settle waits until nothing is under way: the outboxes are delivered and trimmed.
func settle(t *testing.T, b *writeBench) {
	t.Helper()
	<-time.After(time.Minute)
	synctest.Wait()
	for from, source := range b.groups {
		for to, destination := range b.groups {
			trimmed, last := source.graph.OutboxRange(shard.ID(to))
			if mark := destination.graph.InboxMark(shard.ID(from)); trimmed != last || mark != last {
				t.Errorf("stream %d to %d: last %d, applied %d, trimmed %d", from, to, last, mark, trimmed)
			}
		}
		if s := b.writer.status(shard.ID(from)); s != (shardWriteStatus{}) {
			t.Errorf("shard %d at rest: %+v", from, s)
		}
	}
}

// checkModel compares both directions of every edge with each other and with
// what the clients know.
func checkModel(t *testing.T, b *writeBench, edges map[[2]string]belief) {
	t.Helper()
	follows, followed := allEdges(b, engine.Following), allEdges(b, engine.Followers)
	for edge, at := range follows {
		if followed[edge] != at {
			t.Errorf("%v: followed at %d, as a follower at %d", edge, at, followed[edge])
		}
		if edges[edge] == absent {
			t.Errorf("%v: is there, but was removed or never acknowledged", edge)
		}
	}
	for edge := range followed {
		if follows[edge] == 0 {
			t.Errorf("%v: a follower without a following", edge)
		}
	}
	for edge, is := range edges {
		if is == present && follows[edge] == 0 {
			t.Errorf("%v: was acknowledged and is not there", edge)
		}
	}
	for s, g := range b.groups {
		if err := g.graph.Check(); err != nil {
			t.Errorf("shard %d: %v", s, err)
		}
	}
}

// allEdges returns the follow times by follower and followee, out of one of the
// two directions.
func allEdges(b *writeBench, kind engine.ListKind) map[[2]string]uint32 {
	all := map[[2]string]uint32{}
	for _, g := range b.groups {
		for i := range modelUsers {
			name := modelUser(i)
			me := g.graph.Lookup([]byte(name))
			if me == shard.NoUID {
				continue
			}
			for _, edge := range g.graph.Page(kind, me, engine.Newest, modelUsers, nil) {
				other := string(b.groups[b.layout.HomeOf(edge.UID)].graph.UserID(edge.UID))
				if kind == engine.Following {
					all[[2]string{name, other}] = edge.Time
				} else {
					all[[2]string{other, name}] = edge.Time
				}
			}
		}
	}
	return all
}
