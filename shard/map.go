package shard

import "fmt"

// Node is a member of a cluster.
type Node struct {
	// ID names the node for ever; it is kept in the node's data folder.
	ID string
	// ClientAddress and PeerAddress are where it serves clients and other nodes,
	// "host:port"; empty where nobody was told.
	ClientAddress, PeerAddress string
}

// Map says which nodes hold replicas of each shard. It does not say who leads:
// that changes by election, without anybody's plan. A Map is immutable once it is
// shared; a later one has a greater Epoch.
type Map struct {
	Epoch uint64
	Nodes []Node
	// Replicas holds, for each shard, indexes into Nodes.
	Replicas [][]int
}

// LoneMap returns the map of a cluster of one node, which holds everything.
func LoneMap(l Layout, n Node) *Map {
	m := &Map{Epoch: 1, Nodes: []Node{n}, Replicas: make([][]int, l.Shards())}
	for s := range m.Replicas {
		m.Replicas[s] = []int{0}
	}
	return m
}

// Validate checks that the map is one of the layout's: every shard has replicas,
// each on another node that exists.
func (m *Map) Validate(l Layout) error {
	if len(m.Replicas) != l.Shards() {
		return fmt.Errorf("%w: %d shards, the layout has %d", ErrMap, len(m.Replicas), l.Shards())
	}
	for s, replicas := range m.Replicas {
		if len(replicas) == 0 {
			return fmt.Errorf("%w: shard %d is nowhere", ErrMap, s)
		}
		seen := make(map[int]bool, len(replicas))
		for _, n := range replicas {
			if n < 0 || n >= len(m.Nodes) || seen[n] {
				return fmt.Errorf("%w: shard %d is on node %d of %d, or there twice", ErrMap, s, n, len(m.Nodes))
			}
			seen[n] = true
		}
	}
	return nil
}

// NodesOf returns the ids of the nodes that hold a shard.
func (m *Map) NodesOf(s ID) []string {
	ids := make([]string, len(m.Replicas[s]))
	for i, n := range m.Replicas[s] {
		ids[i] = m.Nodes[n].ID
	}
	return ids
}
