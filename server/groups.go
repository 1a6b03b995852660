package server

import (
	"fmt"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// readGroup is what reads need of a shard: *raftfsm.Group, or a stand-in of a test.
type readGroup interface {
	// RLock returns the shard's graph, which does not change until RUnlock. Neither
	// may anything wait in between.
	RLock() *engine.Graph
	RUnlock()
	// Ready tells whether this node leads the shard and knows all that was committed.
	Ready() bool
	Status() raftfsm.GroupStatus
}

// readingIDs is how many ids are read under one read lock before writers, who
// hold theirs for as short, are let in: that takes some 10 to 100 microseconds.
const readingIDs = mutualIDs

// reading is a shard's read lock, which is let go and taken again in between.
type reading struct {
	group readGroup
	graph *engine.Graph
	left  int // ids until the lock is let go
}

func beginReading(group readGroup) reading {
	return reading{group: group, graph: group.RLock(), left: readingIDs}
}

// next returns the graph for a read of that many ids, as of the previous read or
// later. It does not change until the next call.
func (r *reading) next(ids int) *engine.Graph {
	if r.left <= 0 {
		r.group.RUnlock()
		r.graph = r.group.RLock()
		r.left = readingIDs
	}
	r.left -= ids
	return r.graph
}

func (r *reading) end() { r.group.RUnlock() }

// edgeStarter is the write side: *writer, or a stand-in of a test.
type edgeStarter interface {
	start(*edgeWrite)
	status(shard.ID) shardWriteStatus
}

// refusal says why a shard cannot be read here; the zero value says that it can.
type refusal struct {
	code    wire.Code
	message string
	leader  string
}

// refusal judges whether reads of that consistency level may go to the shard.
func (s *Server) refusal(id shard.ID, level uint8) refusal {
	if level == wire.ReadStale || s.groups[id].Ready() {
		return refusal{}
	}
	return refusal{code: wire.Unavailable, message: fmt.Sprintf("shard %d has no ready leader here; try again", id)}
}

// verifyLeaders makes sure that no other node has become the leader of a shard
// unnoticed, and calls failed for the shards of which it cannot tell. The only
// voter of a group cannot be deposed, so a lone node needs no more than to be
// ready; with peers the answer is unavailable, never a guess.
func (s *Server) verifyLeaders(shards []shard.ID, failed func(shard.ID, wire.Code)) {
	if s.options.Raft.Transport == nil {
		return
	}
	for _, id := range shards {
		failed(id, wire.Unavailable)
	}
}
