package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// fakeGroup is a shard's Raft group without Raft and without a disk: it applies
// entries to a real graph, in order, on one goroutine, and can be slow, stuck,
// deposed and unreliable.
type fakeGroup struct {
	graphLock sync.RWMutex
	graph     *engine.Graph
	entries   chan *fakeFuture
	stopped   sync.WaitGroup

	// delay says how long an entry takes, fate what becomes of it. Both are called
	// on the group's goroutine and may block, to make the group stuck.
	delay func() time.Duration
	fate  func() fate

	mu struct {
		sync.Mutex
		leading bool
		term    int
		applied []appliedEntry
	}
}

type appliedEntry struct {
	time     uint32
	commands []raftfsm.CommandKind
}

type fate int

const (
	isApplied fate = iota
	isRefused
	isUnknownApplied
	isUnknownLost
)

type fakeFuture struct {
	entry   []byte
	term    int
	barrier bool
	result  *raftfsm.EntryResult
	err     error
	done    chan struct{}
}

func (f *fakeFuture) Wait() (*raftfsm.EntryResult, error) {
	<-f.done
	return f.result, f.err
}

func newFakeGroup(tb testing.TB, layout shard.Layout, s shard.ID, limit uint32) *fakeGroup {
	graph, err := engine.New(engine.Options{Layout: layout, Shard: s, FollowingLimit: limit})
	if err != nil {
		tb.Fatal(err)
	}
	g := &fakeGroup{
		graph:   graph,
		entries: make(chan *fakeFuture, 64),
		delay:   func() time.Duration { return 0 },
		fate:    func() fate { return isApplied },
	}
	g.mu.leading = true
	return g
}

func (g *fakeGroup) run() {
	g.stopped.Go(func() {
		for f := range g.entries {
			g.decide(f)
			close(f.done)
		}
	})
}

func (g *fakeGroup) decide(f *fakeFuture) {
	if d := g.delay(); d > 0 {
		<-time.After(d)
	}
	if f.barrier {
		return
	}
	fate := g.fate()
	g.mu.Lock()
	if f.term != g.mu.term && fate != isUnknownLost {
		fate = isUnknownApplied
	}
	g.mu.Unlock()
	switch fate {
	case isRefused:
		f.err = raftfsm.ErrOverloaded
	case isUnknownLost:
		f.err = raftfsm.ErrUnknownOutcome
	case isUnknownApplied:
		g.apply(f.entry)
		f.err = raftfsm.ErrUnknownOutcome
	case isApplied:
		f.result = g.apply(f.entry)
	}
}

func (g *fakeGroup) Apply(entry []byte) raftfsm.Future {
	g.mu.Lock()
	f := &fakeFuture{entry: entry, term: g.mu.term, done: make(chan struct{})}
	leading := g.mu.leading
	g.mu.Unlock()
	if !leading {
		f.err = raftfsm.ErrNotLeader
		close(f.done)
		return f
	}
	g.entries <- f
	return f
}

func (g *fakeGroup) RLock() *engine.Graph { g.graphLock.RLock(); return g.graph }
func (g *fakeGroup) RUnlock()             { g.graphLock.RUnlock() }

func (g *fakeGroup) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.leading
}

// depose takes the leadership away: what is in flight has an unknown outcome.
func (g *fakeGroup) depose() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.leading = false
	g.mu.term++
}

// elect gives the leadership back, once all earlier entries are decided.
func (g *fakeGroup) elect() {
	f := &fakeFuture{barrier: true, done: make(chan struct{})}
	g.entries <- f
	<-f.done
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.leading = true
}

// apply does what the state machine does.
func (g *fakeGroup) apply(entry []byte) *raftfsm.EntryResult {
	decoder, err := raftfsm.DecodeEntry(entry)
	if err != nil {
		panic(err)
	}
	g.graphLock.Lock()
	defer g.graphLock.Unlock()
	log := appliedEntry{time: decoder.Time()}
	result := &raftfsm.EntryResult{}
	var c raftfsm.Command
	for {
		more, err := decoder.Next(&c)
		if err != nil {
			panic(err)
		}
		if !more {
			break
		}
		log.commands = append(log.commands, c.Kind)
		result.Results = append(result.Results, applyCommand(g.graph, decoder.Time(), &c))
	}
	if len(log.commands) == 0 || len(log.commands) > raftfsm.MaxEntryCommands {
		panic(fmt.Sprintf("an entry of %d commands", len(log.commands)))
	}
	g.mu.Lock()
	g.mu.applied = append(g.mu.applied, log)
	g.mu.Unlock()
	return result
}

func applyCommand(graph *engine.Graph, now uint32, c *raftfsm.Command) (r raftfsm.Result) {
	switch c.Kind {
	case raftfsm.CommandRegister:
		for _, id := range c.UserIDs {
			uid, err := graph.Register(id)
			if err != nil && r.Err == nil {
				r.Err = err
			}
			r.UIDs = append(r.UIDs, uid)
		}
	case raftfsm.CommandFollow, raftfsm.CommandUnfollow:
		for i, target := range c.Targets {
			t := now
			if len(c.Times) > 0 && c.Times[i] != 0 {
				t = c.Times[i]
			}
			var outcome engine.Outcome
			var seq uint64
			if c.Kind == raftfsm.CommandFollow {
				outcome, seq = graph.Follow(c.Me, target, t)
			} else {
				outcome, seq = graph.Unfollow(c.Me, target)
			}
			r.Outcomes, r.Seqs = append(r.Outcomes, outcome), append(r.Seqs, seq)
		}
	case raftfsm.CommandDeliver:
		r.Applied, r.Err = graph.Deliver(c.From, c.First, c.Items)
	case raftfsm.CommandTrim:
		graph.Trim(c.To, c.Applied)
	}
	return r
}

type deliverFunc func(to shard.ID, payload []byte, done func(uint64, error))

// fakePeers delivers within the process and can lose, double and delay messages.
type fakePeers struct {
	writer  *writer
	deliver atomic.Pointer[deliverFunc] // nil: as a lone node
}

func (p *fakePeers) Deliver(to shard.ID, payload []byte, done func(uint64, error)) {
	if deliver := p.deliver.Load(); deliver != nil {
		(*deliver)(to, payload, done)
		return
	}
	p.writer.handleDeliver(to, payload, done)
}

func (p *fakePeers) misbehave(deliver deliverFunc) { p.deliver.Store(&deliver) }
func (p *fakePeers) heal()                         { p.deliver.Store(nil) }

// writeBench is a writer over fake groups.
type writeBench struct {
	tb     testing.TB
	layout shard.Layout
	groups []*fakeGroup
	peers  *fakePeers
	writer *writer
	closed bool
}

// newWriteBench starts a writer; prepare may change its options and its groups.
func newWriteBench(tb testing.TB, shards int, prepare func(b *writeBench, o *writerOptions)) *writeBench {
	tb.Helper()
	layout, err := shard.NewLayout(shards)
	if err != nil {
		tb.Fatal(err)
	}
	b := &writeBench{tb: tb, layout: layout, peers: &fakePeers{}}
	o := writerOptions{layout: layout, now: time.Now, peers: b.peers}
	for s := range shards {
		g := newFakeGroup(tb, layout, shard.ID(s), 0)
		b.groups = append(b.groups, g)
		o.groups = append(o.groups, g)
	}
	if prepare != nil {
		prepare(b, &o)
	}
	for _, g := range b.groups {
		g.run()
	}
	b.writer = newWriter(o)
	b.peers.writer = b.writer
	tb.Cleanup(func() { b.close(context.Background()) })
	return b
}

// close ends the writer and its groups. Inside a synctest bubble the test calls
// it itself.
func (b *writeBench) close(ctx context.Context) {
	if b.closed {
		return
	}
	b.writer.close(ctx)
	b.closeGroups()
}

// closeGroups follows the closing of the writer.
func (b *writeBench) closeGroups() {
	b.closed = true
	for _, g := range b.groups {
		close(g.entries)
		g.stopped.Wait()
	}
	b.writer.wait()
}

// begin starts a write whose answer comes over the channel.
func (b *writeBench) begin(e *edgeWrite) <-chan *edgeWrite {
	answers := make(chan *edgeWrite, 2)
	calls := 0
	var lock sync.Mutex
	e.Done = func(e *edgeWrite) {
		lock.Lock()
		defer lock.Unlock()
		if calls++; calls > 1 {
			panic("a write was answered twice")
		}
		answers <- e
	}
	b.writer.start(e)
	return answers
}

func (b *writeBench) do(e *edgeWrite) *edgeWrite { return <-b.begin(e) }

func follow(me string, targets ...string) *edgeWrite {
	e := &edgeWrite{Me: []byte(me)}
	for _, t := range targets {
		e.Targets = append(e.Targets, []byte(t))
	}
	return e
}

func unfollow(me string, targets ...string) *edgeWrite {
	e := follow(me, targets...)
	e.Remove = true
	return e
}

// results writes an answer as text: a code for each target, with "=" behind it
// when nothing changed.
func results(e *edgeWrite) string {
	if e.Code != wire.OK {
		return "failed: " + e.Code.String()
	}
	s := ""
	for i, r := range e.Results {
		if i > 0 {
			s += " "
		}
		s += r.Code().String()
		if r.Unchanged() {
			s += "="
		}
	}
	if e.Pending {
		s += " pending"
	}
	return s
}

// userAt returns the name of a user who lives in the given shard.
func (b *writeBench) userAt(s shard.ID, number int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("user%d-%d", number, i)
		if b.layout.Home([]byte(name)) == s {
			return name
		}
	}
}

// sees tells how one user's home shows another one.
func (b *writeBench) sees(user, other string) engine.FollowType {
	otherGraph := b.groups[b.layout.Home([]byte(other))].RLock()
	uid := otherGraph.Lookup([]byte(other))
	b.groups[b.layout.Home([]byte(other))].RUnlock()
	group := b.groups[b.layout.Home([]byte(user))]
	graph := group.RLock()
	defer group.RUnlock()
	types := make([]engine.FollowType, 1)
	if me := graph.Lookup([]byte(user)); me != shard.NoUID {
		graph.FollowTypes(me, []shard.UID{uid}, types)
	}
	return types[0]
}

// outbox returns how many changes of a shard wait for others.
func (b *writeBench) outbox(s shard.ID) uint64 {
	graph := b.groups[s].RLock()
	defer b.groups[s].RUnlock()
	return graph.Stats().Waiting
}

func (b *writeBench) entriesApplied(s shard.ID) []appliedEntry {
	g := b.groups[s]
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.applied
}

func newRand(tb testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
