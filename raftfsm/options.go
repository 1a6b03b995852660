package raftfsm

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

// Options configure a Host. Zero fields mean the defaults they document.
type Options struct {
	// FS is the disk. The default is the operating system's.
	FS vfs.FS
	// Dir is the data folder; log/, state/, HIGHWATER and BALLAST inside it belong to this package. Required.
	Dir string
	// Layout is the cluster's. The default is a single shard.
	Layout shard.Layout
	// FollowingLimit, if it is not 0, is what a leader sets the replicated limit to.
	// The default leaves it as it is: engine.DefaultFollowingLimit in a new shard.
	FollowingLimit uint32
	// NodeID is this node's name in raft's configurations. Required; it must never change.
	NodeID string
	// Now tells the time, for entries that this package itself proposes. Required.
	Now func() time.Time
	// Logger is told what happens. The default discards it.
	Logger *slog.Logger
	// Fatal is called at most once, on a goroutine of its own, when the node must
	// stop because its disk or an invariant is broken. It should end the process
	// soon: goroutines that met the error stay parked until Close. The default does nothing.
	Fatal func(error)
	// OnLeader is called with true when this node leads a shard and has applied all
	// that was committed before, and with false when it leads it no longer. Calls
	// for a shard do not overlap. They may come before Open returns, and one with
	// false comes during Close. It must not block. The default does nothing.
	OnLeader func(s shard.ID, ready bool)

	// Transport returns the connection of a shard's group to its peers. The default
	// makes this a lone node: each group has it as its only voter, for ever.
	Transport func(s shard.ID) raft.Transport
	// Servers returns the first configuration of a shard's group, the same on all
	// its nodes. It is used with Transport only, and only when a group has no state
	// yet. The default leaves a new group waiting to be added to a configuration.
	Servers func(s shard.ID) []raft.Server

	// HeartbeatTimeout is how long a follower waits for its leader before it asks
	// for votes. The default is 300 ms. Killed leaders are replaced in about twice that.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes. The default is HeartbeatTimeout.
	ElectionTimeout time.Duration
	// LeaderLease is how long a leader goes on without a quorum, at most
	// HeartbeatTimeout. The default is HeartbeatTimeout.
	LeaderLease time.Duration
	// CommitTimeout is how late an idle follower may learn of the last commit. The
	// default is 250 ms; shorter costs an idle cluster CPU.
	CommitTimeout time.Duration
	// MaxInFlight is how many entries of a group may wait for their commit. The default is 128, the most 256.
	MaxInFlight int

	// SnapshotBytes of log since the last snapshot cause one. The default is 64 MiB.
	SnapshotBytes uint64
	// SnapshotEdgeChanges since the last snapshot cause one. The default is
	// 500,000, which a restart replays in about a second.
	SnapshotEdgeChanges uint64
	// SnapshotIdle is after how long without an entry there is a snapshot of what
	// has none yet. The default is 10 s.
	SnapshotIdle time.Duration
	// TrailingLogs is how many entries a log keeps behind its snapshot, so that a
	// slow follower needs no snapshot. The default is 64 for a lone node, 10240 otherwise.
	TrailingLogs uint64

	// LogMemTableBytes is the memtable of the log's Pebble. The default is 64 MiB,
	// which keeps most entries from ever being flushed.
	LogMemTableBytes uint64
	// StateMemTableBytes is the memtable of the state's Pebble. The default is 16 MiB.
	StateMemTableBytes uint64
	// RingEntries and RingBytes bound the newest entries that each group keeps in
	// memory. The defaults are 1024 and 4 MiB; 64 and 64 KiB for a lone node, which has nobody to send them to.
	RingEntries, RingBytes int
	// StoreTimeout is how long a write to the log may take before the disk counts
	// as hung and the node stops. A snapshot may take six times as long. The default is 10 s.
	StoreTimeout time.Duration
	// CloseTimeout bounds Close. The default is 30 s.
	CloseTimeout time.Duration

	// MinFreeBytes of disk are left for what must go on: while fewer are free in Dir,
	// Host.Disk says that clients' writes should be refused. Negative is never. The
	// default is twice what all memtables of both Pebbles hold, once to flush them and
	// once to compact what that made, 640 MiB; at least 512 MiB. It leaves out snapshots:
	// one of a shard needs room for what changed since the last one.
	MinFreeBytes int64
	// BallastBytes is the size of the BallastFile; negative is none. It is made when
	// there is room for it above MinFreeBytes. The default is a memtable of each
	// Pebble, 80 MiB: that much a start may have to write out.
	BallastBytes int64
	// DiskCheckInterval is how often free space is looked at. The default is 1 s.
	DiskCheckInterval time.Duration
}

// maxInFlight keeps raft.Apply from ever blocking: it is the size of its queue.
const maxInFlight = 256

// alone says whether this is a lone node.
func (o *Options) alone() bool { return o.Transport == nil }

// Validate returns an error for options that cannot work.
func (o *Options) Validate() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("%w: Dir is required", ErrOptions)
	case o.NodeID == "":
		return fmt.Errorf("%w: NodeID is required", ErrOptions)
	case o.Now == nil:
		return fmt.Errorf("%w: Now is required", ErrOptions)
	case o.LeaderLease > o.HeartbeatTimeout && o.HeartbeatTimeout > 0:
		return fmt.Errorf("%w: LeaderLease %s is longer than HeartbeatTimeout %s", ErrOptions, o.LeaderLease, o.HeartbeatTimeout)
	case o.MaxInFlight < 0 || o.MaxInFlight > maxInFlight:
		return fmt.Errorf("%w: MaxInFlight %d is not between 1 and %d", ErrOptions, o.MaxInFlight, maxInFlight)
	}
	return nil
}

// orDefault sets *v to d if it is zero.
func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// withDefaults returns the options with every zero field filled in.
func (o Options) withDefaults() Options {
	orDefault(&o.FS, vfs.Default)
	orDefault(&o.Logger, slog.New(slog.DiscardHandler))
	if o.Fatal == nil {
		o.Fatal = func(error) {}
	}
	if o.OnLeader == nil {
		o.OnLeader = func(shard.ID, bool) {}
	}
	if o.Servers == nil {
		o.Servers = func(shard.ID) []raft.Server { return nil }
	}
	orDefault(&o.HeartbeatTimeout, 300*time.Millisecond)
	orDefault(&o.ElectionTimeout, o.HeartbeatTimeout)
	orDefault(&o.LeaderLease, o.HeartbeatTimeout)
	orDefault(&o.CommitTimeout, 250*time.Millisecond)
	orDefault(&o.MaxInFlight, 128)
	orDefault(&o.SnapshotBytes, 64<<20)
	orDefault(&o.SnapshotEdgeChanges, 500_000)
	orDefault(&o.SnapshotIdle, 10*time.Second)
	orDefault(&o.LogMemTableBytes, 64<<20)
	orDefault(&o.StateMemTableBytes, 16<<20)
	orDefault(&o.StoreTimeout, 10*time.Second)
	orDefault(&o.CloseTimeout, 30*time.Second)
	memTables := int64(o.LogMemTableBytes + o.StateMemTableBytes)
	orDefault(&o.MinFreeBytes, max(512<<20, 2*maxMemTables*memTables))
	orDefault(&o.BallastBytes, memTables)
	orDefault(&o.DiskCheckInterval, time.Second)
	if o.alone() {
		orDefault(&o.TrailingLogs, 64)
		orDefault(&o.RingEntries, 64)
		orDefault(&o.RingBytes, 64<<10)
		return o
	}
	orDefault(&o.TrailingLogs, 10240)
	orDefault(&o.RingEntries, 1024)
	orDefault(&o.RingBytes, 4<<20)
	return o
}
