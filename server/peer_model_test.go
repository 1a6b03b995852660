package server

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// throughPort makes a writer's couriers reach every shard through the peer port,
// as if all shards were led by another node.
func throughPort(port *portBench) func(b *writeBench, o *writerOptions) {
	return func(b *writeBench, o *writerOptions) {
		o.peers = port.remote
		port.handler.answer = func(to shard.ID, payload []byte, done func(uint64, error)) {
			b.writer.handleDeliver(to, payload, done)
		}
	}
}

// TestWritesThroughPortAreAsInProcess runs one random script in process and over
// a loopback connection: answers and the final state of every shard are equal.
func TestWritesThroughPortAreAsInProcess(t *testing.T) {
	r := newRand(t)
	seed := r.Uint64()
	prepare := func(b *writeBench, o *writerOptions) {
		o.now = func() time.Time { return time.Unix(1_700_000_000, 0) }
		for _, g := range b.groups {
			g.graph.SetFollowingLimit(modelLimit)
		}
	}
	answers, sums := runScript(t, newWriteBench(t, 4, prepare), seed)
	port := newTCPPortBench(t, PeerLimits{})
	defer port.close()
	remote := newWriteBench(t, 4, func(b *writeBench, o *writerOptions) {
		prepare(b, o)
		throughPort(port)(b, o)
	})
	remoteAnswers, remoteSums := runScript(t, remote, seed)
	for i := range answers {
		if answers[i] != remoteAnswers[i] {
			t.Fatalf("write %d: in process %q, through the port %q", i, answers[i], remoteAnswers[i])
		}
	}
	for s := range sums {
		if sums[s] != remoteSums[s] {
			t.Errorf("shard %d: checksum %x in process, %x through the port", s, sums[s], remoteSums[s])
		}
	}
	if _, proven := port.port.connections(); proven != 1 {
		t.Errorf("%d connections", proven)
	}
	remote.close(t.Context())
}

// runScript does random writes one by one, and returns the answers and the shards'
// checksums at rest.
func runScript(t *testing.T, b *writeBench, seed uint64) (answers []string, sums []uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	for range 600 {
		e := follow(modelUser(r.IntN(modelUsers)))
		for range 1 + r.IntN(6) {
			e.Targets = append(e.Targets, []byte(modelUser(r.IntN(modelUsers))))
		}
		e.Remove = r.IntN(3) == 0
		answers = append(answers, results(b.do(e)))
	}
	eventually(t, "empty outboxes", func() bool { return atRest(b) })
	for _, g := range b.groups {
		graph := g.RLock()
		sums = append(sums, graph.Checksum())
		if err := graph.Check(); err != nil {
			t.Error(err)
		}
		g.RUnlock()
	}
	return answers, sums
}

// atRest tells whether everything is delivered and trimmed.
func atRest(b *writeBench) bool {
	for s := range b.groups {
		if b.writer.status(shard.ID(s)) != (shardWriteStatus{}) || b.outbox(shard.ID(s)) != 0 {
			return false
		}
	}
	return true
}

// brokenConn breaks after some bytes, in one of several ways.
type brokenConn struct {
	net.Conn
	stall, flip bool // it lets nothing through any more, or damages it; else it is cut

	mu   sync.Mutex
	left int // bytes that pass before it breaks
}

// breakSome makes connections of a dialer break until the faults are healed.
func breakSome(f *modelFaults, dial func(context.Context, string) (net.Conn, error), stalls bool) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if f.chance(10) {
			return nil, errors.New("no route")
		}
		nc, err := dial(ctx, address)
		if err != nil || !f.chance(1) {
			return nc, err
		}
		return &brokenConn{Conn: nc, left: int(f.upTo(6000)), stall: stalls && f.chance(6), flip: f.chance(4)}, nil
	}
}

// pass counts n bytes and says how many of them still pass.
func (c *brokenConn) pass(n int) (passed int, broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed = min(n, c.left)
	c.left -= passed
	return passed, passed < n
}

func (c *brokenConn) Write(b []byte) (int, error) {
	n, broken := c.pass(len(b))
	switch {
	case !broken:
		return c.Conn.Write(b)
	case c.stall:
		return len(b), nil // nobody will see it
	case c.flip:
		damaged := bytes.Clone(b)
		damaged[n] ^= 0x10
		return c.Conn.Write(damaged)
	case n > 0:
		c.Conn.Write(b[:n])
	}
	c.Close()
	return 0, net.ErrClosed
}

func (c *brokenConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		passed, broken := c.pass(n)
		switch {
		case !broken || err != nil:
			return n, err
		case c.stall:
			continue // nobody has seen it
		case c.flip:
			b[passed] ^= 0x10
			return n, nil
		}
		c.Close()
		return 0, net.ErrClosed
	}
}

// TestRandomWritesThroughBrokenConnections is the model under all its faults,
// with the peer port below the couriers and its connections cut, damaged and
// stalled at random bytes.
func TestRandomWritesThroughBrokenConnections(t *testing.T) {
	r := newRand(t)
	for round := range 4 {
		seed := r.Uint64()
		synctest.Test(t, func(t *testing.T) {
			testBrokenConnections(t, rand.New(rand.NewPCG(seed, uint64(round))))
		})
	}
}

func testBrokenConnections(t *testing.T, r *rand.Rand) {
	faults := &modelFaults{rand: rand.New(rand.NewPCG(r.Uint64(), 0))}
	port := newPortBench(t, PeerLimits{})
	port.dial = breakSome(faults, port.dial, true)
	b := newWriteBench(t, 4, func(b *writeBench, o *writerOptions) {
		faults.prepare(b, o)
		throughPort(port)(b, o)
	})
	edges, codes := runModelClients(t, b, r, faults)
	faults.heal()
	settle(t, b)
	checkModel(t, b, edges)
	if codes[wire.OK] == 0 {
		t.Error("no write was answered ok")
	}
	t.Logf("answers %v", codes)
	b.close(context.Background())
	port.close()
}

// TestRandomWritesThroughCutSockets is the same over real sockets, in real time,
// with leaders deposed and connections cut.
func TestRandomWritesThroughCutSockets(t *testing.T) {
	r := newRand(t)
	faults := &modelFaults{rand: rand.New(rand.NewPCG(r.Uint64(), 0))}
	port := newTCPPortBench(t, PeerLimits{FirstPause: time.Millisecond, LongestPause: 20 * time.Millisecond})
	dials := 0
	dial := breakSome(faults, port.dial, false)
	port.dial = func(ctx context.Context, address string) (net.Conn, error) {
		dials++ // by the link's goroutine only
		return dial(ctx, address)
	}
	b := newWriteBench(t, 4, func(b *writeBench, o *writerOptions) {
		for _, g := range b.groups {
			g.graph.SetFollowingLimit(modelLimit)
		}
		throughPort(port)(b, o)
		o.limits.Visibility, o.longestPause = 300*time.Millisecond, 20*time.Millisecond
	})
	edges, codes := runModelClients(t, b, r, faults)
	faults.heal()
	eventually(t, "empty outboxes", func() bool { return atRest(b) })
	b.close(context.Background())
	checkModel(t, b, edges)
	port.close()
	if dials < 10 {
		t.Errorf("%d connections: the test does not cut them", dials)
	}
	t.Logf("answers %v over %d connections", codes, dials)
}
