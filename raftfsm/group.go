package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// Group is one shard on this node: its log, its state and its raft instance. All
// methods are safe for concurrent use.
type Group struct {
	shard shard.ID
	o     *Options
	b     *breaker
	log   *logStore
	state *stateStore
	fsm   *fsm
	peers raft.Transport

	tokens       chan struct{} // one for each entry in flight
	wantSnapshot chan struct{} // from the state machine, when a trigger is reached
	renew        chan struct{} // asks for a new raft instance
	ready        atomic.Bool

	// gate is held for reading while something is handed to the instance, never across a wait.
	gate struct {
		sync.RWMutex
		instance *instance // nil when closed
	}
	checks sync.Pool // of *Command, for checking entries
}

// newGroup puts together what was opened. start makes it run.
func newGroup(s shard.ID, o *Options, b *breaker, log *logStore, state *stateStore, f *fsm) *Group {
	g := &Group{
		shard: s, o: o, b: b, log: log, state: state, fsm: f,
		tokens: make(chan struct{}, o.MaxInFlight), wantSnapshot: make(chan struct{}, 1), renew: make(chan struct{}, 1),
	}
	g.checks.New = func() any { return new(Command) }
	if o.alone() {
		_, g.peers = raft.NewInmemTransport(raft.ServerAddress(o.NodeID))
	} else {
		g.peers = o.Transport(s)
	}
	f.grown = func() {
		if w := f.unsaved(); w.changes >= o.SnapshotEdgeChanges || w.bytes >= o.SnapshotBytes {
			poke(g.wantSnapshot)
		}
	}
	state.diverged = func() { poke(g.renew) }
	return g
}

// poke asks once, however often it is called before somebody listens.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start runs the group's first instance, after giving a new group its first configuration.
func (g *Group) start() error {
	if err := g.bootstrap(); err != nil {
		return fmt.Errorf("shard %d: first configuration: %w", g.shard, err)
	}
	i, err := startInstance(g)
	if err != nil {
		return err
	}
	g.setInstance(i)
	if !g.o.alone() {
		return nil
	}
	configuration := i.raft.GetConfiguration()
	if err := configuration.Error(); err != nil {
		return err
	}
	for _, s := range configuration.Configuration().Servers {
		if s.ID == raft.ServerID(g.o.NodeID) && s.Suffrage == raft.Voter {
			return i.hurry()
		}
	}
	return fmt.Errorf("%w: shard %d is stored for the nodes %v, not for %q alone: start it under its own name, or with its peers",
		ErrOptions, g.shard, configuration.Configuration().Servers, g.o.NodeID)
}

// bootstrap stores the first entry of a group that has no state yet. A crash
// between its two steps leaves a term and an empty log, from which it goes on.
func (g *Group) bootstrap() error {
	servers := g.o.Servers(g.shard)
	if g.o.alone() {
		servers = []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(g.o.NodeID), Address: raft.ServerAddress(g.o.NodeID)}}
	}
	_, last := g.log.ends()
	if last > 0 || g.state.meta() != nil || len(servers) == 0 || g.log.behind.Load() {
		return nil
	}
	if term, err := g.log.GetUint64([]byte(stableCurrentTerm)); err != nil || term == 0 {
		if err := g.log.SetUint64([]byte(stableCurrentTerm), 1); err != nil {
			return err
		}
	}
	return g.log.StoreLog(&raft.Log{
		Index: 1, Term: 1, Type: raft.LogConfiguration,
		Data: raft.EncodeConfiguration(raft.Configuration{Servers: servers}),
	})
}

func (g *Group) setInstance(i *instance) (old *instance) {
	g.gate.Lock()
	defer g.gate.Unlock()
	old, g.gate.instance = g.gate.instance, i
	return old
}

func (g *Group) instance() *instance {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.gate.instance
}

// manage makes a new raft instance when asked, until the host closes.
func (g *Group) manage(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.renew:
		}
		if err := g.restart(); err != nil {
			g.b.trip(fmt.Errorf("shard %d: restart raft: %w", g.shard, err))
			return
		}
	}
}

// restart replaces the instance by a new one over the same stores.
func (g *Group) restart() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), g.o.CloseTimeout, errCloseTimeout)
	defer cancel()
	g.o.Logger.Info("restarting raft over an installed snapshot", "shard", g.shard)
	if old := g.setInstance(nil); old != nil {
		if err := old.close(ctx, false); err != nil {
			return err
		}
	}
	if err := g.fsm.catchUp(); err != nil {
		return err
	}
	i, err := startInstance(g)
	if err != nil {
		return err
	}
	g.setInstance(i)
	return nil
}

// close ends the group. It waits no longer than the context allows.
func (g *Group) close(ctx context.Context) error {
	if i := g.setInstance(nil); i != nil {
		return i.close(ctx, true)
	}
	return nil
}

// setReady is called by the instance's lead loop only.
func (g *Group) setReady(ready bool) {
	if g.ready.Swap(ready) != ready {
		g.o.OnLeader(g.shard, ready)
	}
}

// Shard returns which shard this is.
func (g *Group) Shard() shard.ID { return g.shard }

// Apply proposes an entry, which belongs to raft from then on. It does not wait
// for the commit and does not block; when too many entries are in flight it refuses.
func (g *Group) Apply(entry []byte) Future {
	scratch := g.checks.Get().(*Command)
	err := checkEntry(entry, scratch)
	g.checks.Put(scratch)
	if err != nil {
		return refused{err}
	}
	if err := g.b.err(); err != nil {
		return refused{errors.Join(ErrClosed, err)}
	}
	g.gate.RLock()
	defer g.gate.RUnlock()
	if g.gate.instance == nil {
		return refused{ErrClosed}
	}
	return g.gate.instance.propose(entry)
}

// View calls read with the graph, which does not change meanwhile. read must not block.
func (g *Group) View(read func(*engine.Graph)) { g.fsm.view(read) }

// RLock returns the graph, which does not change until RUnlock. The caller must not block in between.
func (g *Group) RLock() *engine.Graph {
	g.fsm.mu.RLock()
	return g.fsm.mu.graph
}

// RUnlock ends what RLock began.
func (g *Group) RUnlock() { g.fsm.mu.RUnlock() }

// Ready says whether this node leads the shard and has applied every entry of
// former leaders. After a fatal error it does not, whatever raft still believes.
func (g *Group) Ready() bool {
	i := g.instance()
	return g.ready.Load() && g.b.err() == nil && i != nil && i.raft.State() == raft.Leader
}

// Behind says whether the group withholds its votes because its disk lost entries
// that the leader has not filled up yet.
func (g *Group) Behind() bool { return g.log.behind.Load() }

// Snapshot stores what has changed since the last snapshot and shortens the log.
func (g *Group) Snapshot() error {
	i := g.instance()
	if i == nil {
		return ErrClosed
	}
	return i.snapshot()
}

// GroupStatus is how a group stands.
type GroupStatus struct {
	Shard shard.ID
	// Leader is true if this node leads; LeaderID is who does, or empty.
	Leader   bool
	LeaderID string
	// Ready is true if this node leads and has caught up.
	Ready bool
	Term  uint64
	// Applied and Commit are the last entries that were applied and are known to be committed.
	Applied, Commit uint64
	// LogFirst and LogLast are the first and last entries of the log, 0 if it is empty.
	LogFirst, LogLast uint64
	// SnapshotIndex is the last entry in the snapshot, 0 if there is none.
	SnapshotIndex uint64
	// Behind is true while the disk lacks entries that it lost.
	Behind bool
}

// Status returns how the group stands.
func (g *Group) Status() GroupStatus {
	s := GroupStatus{
		Shard: g.shard, Applied: g.fsm.applied(), SnapshotIndex: g.state.snapshotIndex(),
		Behind: g.Behind(), Ready: g.Ready(),
	}
	s.LogFirst, s.LogLast = g.log.ends()
	if i := g.instance(); i != nil {
		_, leader := i.raft.LeaderWithID()
		s.LeaderID = string(leader)
		s.Leader = i.raft.State() == raft.Leader
		s.Term, s.Commit = i.raft.CurrentTerm(), i.raft.CommitIndex()
	}
	return s
}
