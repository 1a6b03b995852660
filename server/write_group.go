package server

import (
	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
)

// shardGroup is what the write side needs of one shard's Raft group. It is
// satisfied by *raftfsm.Group; tests put a group without a disk in its place.
type shardGroup interface {
	// Apply proposes an entry, which the group owns from then on. It does not
	// wait for the commit. Futures end in bounded time, or when the host closes.
	Apply(entry []byte) raftfsm.Future
	// RLock lets the caller read the graph until RUnlock, without blocking.
	RLock() *engine.Graph
	RUnlock()
	// Ready says whether this node leads the shard and has applied every entry
	// of former leaders.
	Ready() bool
}
