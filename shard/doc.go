// Package shard says where a user lives and how users are numbered.
//
// A cluster has a power-of-two number of shards, fixed when it is created. A
// user's home shard is the low bits of the xxhash64 (seed 0) of the user id, and
// the home shard numbers its users densely, n = 0, 1, 2 …, in the order in which
// its log first names them. A user's UID packs both: n·S + shard. Uids are dense
// over the whole cluster, which is what bitmaps need, and the home can be read
// off the uid without a look-up.
//
// A stored cluster depends on these assignments for ever: they are pinned by
// golden values in the tests and must never change.
//
// A Map says which nodes hold which shards.
//
// Everything here is a pure function of its arguments and safe for concurrent
// use. Read Layout first, then Map. Invariant 7 of ARCHITECTURE.md (a name has one uid,
// a uid has one name) rests on this package together with engine.
package shard
