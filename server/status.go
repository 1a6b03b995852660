package server

import (
	"encoding/hex"
	"runtime/metrics"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

func (p *pass) status(id uint32, body []byte) {
	if err := (&wire.StatusRequest{}).Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return
	}
	p.out.b = wire.AppendReply(p.out.b, wire.OK, id, p.server.status())
	p.cost += statusCost
}

// statusCost makes a few requests for the status fill a pass.
const statusCost = passIDs / 8

// status describes the node as of now.
func (s *Server) status() *wire.Status {
	status := &wire.Status{
		ClusterID: hex.EncodeToString(s.identity.ClusterID[:]), NodeID: s.identity.NodeID, Version: s.options.Version,
		UptimeSeconds: int64(s.options.Now().Sub(s.started).Seconds()),
		Ready:         true, Connections: s.clients.count(),
		Memory: processMemory(),
		Shards: make(wire.ShardList, len(s.groups)),
	}
	if disk := s.disk(); disk != nil {
		status.Disk = &wire.DiskStatus{FreeBytes: disk.FreeBytes, MinFreeBytes: disk.MinFreeBytes}
		if disk.Refusal != "" {
			status.WritesRefused = "disk nearly full"
		}
	}
	for i := range s.groups {
		one, limit := s.shardStatus(shard.ID(i))
		status.Shards[i] = one
		status.Ready = status.Ready && one.Ready
		status.FollowingLimit = limit
		status.Users += one.Users
		status.Follows += one.Follows
		status.Memory.GraphBytes += one.GraphBytes
	}
	return status
}

func (s *Server) shardStatus(id shard.ID) (status wire.ShardStatus, followingLimit uint32) {
	group := s.groups[id]
	g := group.Status()
	var graph engine.Stats
	s.graphOf(id, func(g *engine.Graph) { graph, followingLimit = g.Stats(), g.FollowingLimit() })
	writes := s.writes.status(id)
	return wire.ShardStatus{
		Shard: uint16(id), Replicas: s.shards.NodesOf(id), Leader: g.Leader, LeaderID: g.LeaderID, Ready: group.Ready(), Term: g.Term,
		Applied: g.Applied, Commit: g.Commit, LogFirst: g.LogFirst, LogLast: g.LogLast, Snapshot: g.SnapshotIndex,
		Users: uint64(graph.Users), Follows: graph.Follows, Outbox: graph.Waiting,
		Queued: writes.queued, InFlight: writes.inFlight, Waiting: writes.waiting, GraphBytes: graph.Memory.Total(),
	}, followingLimit
}

// processMemory reads what the runtime knows without stopping the world.
func processMemory() wire.MemoryStatus {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	value := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	return wire.MemoryStatus{HeapBytes: value(0), SystemBytes: value(1)}
}
