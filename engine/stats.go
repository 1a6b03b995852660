package engine

import "unsafe"

// Stats says how much a shard holds.
type Stats struct {
	Users     uint32
	Follows   uint64 // edges whose follower lives here
	Followers uint64 // edges whose followed user lives here
	Waiting   uint64 // outbox items, for all shards
	Memory    Memory
}

// Memory is what a shard occupies, in bytes, by kind.
type Memory struct {
	Names  uint64 // user ids and their numbers
	Users  uint64 // handles and mutual counts
	Lists  uint64 // neighbours: order, times and membership
	Outbox uint64
	Dirty  uint64 // marks and old forms of what is changed but not yet stored
}

// Total is the sum of all kinds.
func (m Memory) Total() uint64 {
	return m.Names + m.Users + m.Lists + m.Outbox + m.Dirty
}

// Stats returns the shard's figures. It is cheap enough to be called every second.
func (g *Graph) Stats() Stats {
	s := Stats{
		Users:     g.Users(),
		Follows:   g.edges[following],
		Followers: g.edges[followers],
		Memory: Memory{
			Names: uint64(g.names.MemoryBytes()),
			Users: uint64(len(g.users)) * uint64(unsafe.Sizeof(userPage{})),
			Lists: g.pool.MemoryBytes().Total(),
			Dirty: uint64(g.dirty.memoryBytes()),
		},
	}
	if g.frozen != nil {
		s.Memory.Dirty += uint64(g.frozen.dirty.memoryBytes() + g.frozen.savedBytes)
	}
	for i := range g.outbox {
		q := &g.outbox[i]
		s.Waiting += q.last - q.trimmed
		s.Memory.Outbox += uint64(q.memoryBytes())
	}
	return s
}
