package engine

import (
	"github.com/cespare/xxhash/v2"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// What a hash is of: it enters each one, so that no two kinds of fact cancel out.
const (
	sumGraph uint64 = iota + 1
	sumName
	sumEdge // and its successor: by direction
	_
	sumOutboxRange
	sumOutboxItem
	sumMark
	sumLocalEdge
)

// Checksum returns a number that is equal for equal states, however they came
// about and however they lie in memory, and for unequal ones with a probability
// of about 1 in 2^64: a sum of hashes of users, edges with their times in both
// directions, outboxes, marks and the following limit. It walks everything.
func (g *Graph) Checksum() uint64 {
	sum := hash4(sumGraph, uint64(g.shard), uint64(g.layout.Shards()), uint64(g.limit))
	for n := range g.Users() {
		sum += hash4(sumName, uint64(n), xxhash.Sum64(g.names.ID(n)), 0)
		for d := range direction(2) {
			g.eachKey(n, d, func(k neighbors.Key) {
				sum += edgeHash(n, d, k)
			})
		}
	}
	for s := range g.outbox {
		q := &g.outbox[s]
		sum += hash4(sumMark, uint64(s), g.marks[s], 0)
		sum += hash4(sumOutboxRange, uint64(s), q.trimmed, q.last)
		for number := q.trimmed + 1; number <= q.last; number++ {
			item := q.at(number)
			edge := uint64(item.target)<<32 | uint64(item.time)
			sum += hash4(sumOutboxItem|uint64(s)<<8, number, uint64(item.sourceRemove), edge)
		}
	}
	return sum
}

// hash4 mixes four words, a round of the SplitMix64 finalizer each
// (https://prng.di.unimi.it/splitmix64.c), which is a bijection of its sum.
func hash4(a, b, c, d uint64) uint64 {
	return mix(mix(mix(mix(a)+b)+c) + d)
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// eachKey calls visit for each member of a list, newest first.
func (g *Graph) eachKey(n uint32, d direction, visit func(neighbors.Key)) {
	var scratch [pageBatch]neighbors.Key
	for before := neighbors.Key(Newest); ; {
		keys := g.pool.Before(*g.list(n, d), before, scratch[:0], pageBatch)
		for _, k := range keys {
			visit(k)
		}
		if len(keys) < pageBatch {
			return
		}
		before = keys[pageBatch-1]
	}
}

// edgeHash is of a member of a list. The sum of all is stored, so its definition
// is part of the stored format.
func edgeHash(n uint32, d direction, k neighbors.Key) uint64 {
	return listHash(n, d).edge(k)
}

// listHash begins the hashes of all members of a list.
func listHash(n uint32, d direction) listSeed {
	return listSeed(mix(mix(sumEdge+uint64(d)) + uint64(n)))
}

type listSeed uint64

func (s listSeed) edge(k neighbors.Key) uint64 { return mix(uint64(s) + uint64(k)) }

// localEdgeHash is of an edge of which both ends live here, whichever list it
// was read from.
func localEdgeHash(source, target shard.UID, time uint32) uint64 {
	return hash4(sumLocalEdge, uint64(source), uint64(target), uint64(time))
}
