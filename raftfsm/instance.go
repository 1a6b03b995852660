package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
)

// instance is one run of hashicorp/raft for a group, and the goroutines around
// it. A group makes a new one when raft's memory no longer agrees with its stores.
//
// raft forgets to answer futures that wait when it is shut down. So an instance
// first ends what asks raft, waits for every answer, and only then shuts it down.
type instance struct {
	g         *Group
	raft      *raft.Raft
	transport *guardedTransport
	notify    chan bool      // leadership won and lost, from raft
	pending   chan *proposal // in the order of their proposal
	stop      chan struct{}
	led       chan struct{} // closed when lead has ended, and so on
	completed chan struct{}
	snapped   chan struct{}
}

func startInstance(g *Group) (*instance, error) {
	i := &instance{
		g: g, notify: make(chan bool, 64), pending: make(chan *proposal, g.o.MaxInFlight), stop: make(chan struct{}),
		led: make(chan struct{}), completed: make(chan struct{}), snapped: make(chan struct{}),
	}
	var err error
	if i.transport, err = newGuardedTransport(g.peers, g.b, g.log.behind.Load); err != nil {
		return nil, err
	}
	i.raft, err = raft.NewRaft(i.config(), g.fsm, g.log, g.log, g.state, i.transport)
	if err != nil {
		i.transport.close()
		return nil, fmt.Errorf("shard %d: start raft: %w", g.shard, err)
	}
	go i.lead()
	go i.complete()
	go i.snapshots()
	return i, nil
}

func (i *instance) config() *raft.Config {
	o := i.g.o
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(o.NodeID)
	c.HeartbeatTimeout = o.HeartbeatTimeout
	if o.alone() {
		c.HeartbeatTimeout = 2 * o.HeartbeatTimeout // until hurry
	}
	c.ElectionTimeout = max(o.ElectionTimeout, c.HeartbeatTimeout)
	c.LeaderLeaseTimeout = o.LeaderLease
	c.CommitTimeout = o.CommitTimeout
	c.MaxAppendEntries = maxInFlight
	c.BatchApplyCh = true
	c.TrailingLogs = o.TrailingLogs
	c.SnapshotThreshold = math.MaxUint64 // we decide, by bytes and changes
	c.SnapshotInterval = 24 * time.Hour
	c.NoSnapshotRestoreOnStart = true // loaded already
	c.RestoreCommittedLogs = false    // loses configurations and can deadlock
	c.PreVoteDisabled = false
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false
	c.NotifyCh = i.notify
	c.Logger = newRaftLogger(o.Logger.With("shard", i.g.shard), o.alone())
	return c
}

// hurry makes a lone node's follower ask for votes at once, as it does when its
// heartbeat timeout is shortened: there is no leader that it could disturb.
func (i *instance) hurry() error {
	r := i.raft.ReloadableConfig()
	r.HeartbeatTimeout = i.g.o.HeartbeatTimeout
	return i.raft.ReloadConfig(r)
}

// propose hands an entry to raft. It does not block: no more are pending than fit into raft's queue.
func (i *instance) propose(entry []byte) Future {
	p := &proposal{b: i.g.b, done: make(chan struct{})}
	select {
	case i.g.tokens <- struct{}{}:
	default:
		return refused{ErrOverloaded}
	}
	p.raft = i.raft.Apply(entry, 0)
	i.pending <- p
	return p
}

// complete answers proposals, in their order.
func (i *instance) complete() {
	defer close(i.completed)
	for p := range i.pending {
		p.complete()
		<-i.g.tokens
	}
}

// lead follows raft's leadership and tells the host of it.
func (i *instance) lead() {
	defer close(i.led)
	defer i.g.setReady(false)
	for {
		select {
		case leading := <-i.notify:
			i.g.setReady(leading && i.takeOver() && len(i.notify) == 0)
		case <-i.stop:
			return
		}
	}
}

// takeOver applies all that former leaders committed, and the settings that
// this node was started with. It returns false if the leadership was lost meanwhile.
func (i *instance) takeOver() bool {
	if i.raft.Barrier(0).Error() != nil {
		return false
	}
	limit := i.g.o.FollowingLimit
	var now uint32
	i.g.fsm.view(func(g *engine.Graph) { now = g.FollowingLimit() })
	if limit != 0 && limit != now {
		entry := AppendEntryHeader(nil, uint32(i.g.o.Now().Unix()))
		entry = AppendCommand(entry, &Command{Kind: CommandSettings, FollowingLimit: limit})
		if err := i.raft.Apply(entry, 0).Error(); err != nil {
			return false
		}
		i.g.o.Logger.Info("following limit changed", "shard", i.g.shard, "from", now, "to", limit)
	}
	return i.raft.State() == raft.Leader
}

// snapshots takes one when the state machine asks for it, and of what has none after idle times.
func (i *instance) snapshots() {
	defer close(i.snapped)
	idle := time.NewTicker(i.g.o.SnapshotIdle)
	defer idle.Stop()
	last := i.g.fsm.applied()
	for {
		select {
		case <-i.g.wantSnapshot:
		case <-idle.C:
			now := i.g.fsm.applied()
			quiet := now == last
			last = now
			if !quiet || !i.g.fsm.hasUnsaved() {
				continue
			}
		case <-i.stop:
			return
		}
		if err := i.snapshot(); err != nil {
			i.g.o.Logger.Warn("snapshot failed", "shard", i.g.shard, "error", err)
		}
	}
}

func (i *instance) snapshot() error {
	err := i.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// close ends the instance, after a snapshot of what has none if that is asked for:
// not over an installed snapshot, which the graph is not made of yet. The group no
// longer proposes to it. When the context ends first, goroutines are left behind.
func (i *instance) close(ctx context.Context, snapshot bool) error {
	close(i.stop)
	close(i.pending)
	for _, ended := range []chan struct{}{i.led, i.snapped, i.completed} {
		if err := await(ctx, ended); err != nil {
			return err
		}
	}
	var failed error
	if snapshot && i.g.fsm.hasUnsaved() {
		failed = awaitCall(ctx, i.snapshot)
	}
	if err := awaitCall(ctx, i.raft.Shutdown().Error); err != nil {
		return errors.Join(failed, err)
	}
	i.transport.close()
	return failed
}

// await returns when c is closed or the context ends.
func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitCall returns what f does, or leaves it behind when the context ends.
func awaitCall(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
