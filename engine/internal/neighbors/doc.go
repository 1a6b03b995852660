// Package neighbors keeps one user's neighbours in one direction: the set of
// them and their order by follow time.
//
// A List is an 8-byte handle that the caller keeps, a Pool owns the memory of all
// lists of one shard. Read Key, List and Pool first, then block,
// the one packed form that both the order and most of the membership index use.
//
// A list of at most 512 members is one order block. Up to 64 members a
// membership check scans that block; above, a second block holds the sorted uids.
// A larger list is a sequence of order blocks, each stored as a chunk of its own,
// with a sequence of index blocks up to 4,096 members and a roaring bitmap above.
//
// Only the order is stored: a chunk is known by its separator, chunk i covers the
// keys from its separator up to the next one, the first separator is always 0 and
// no separator changes while its chunk lives. The index is derived at load.
//
// The package knows no users, names, clocks or files, and takes no lock. Reads may
// run concurrently with each other, never with a mutation; a pool has one writer.
// All memory but that of lists above 512 members is free of Go pointers.
//
// Invariants, asserted by Check and the model tests:
//  1. A list's chunks are ascending and together hold each member once.
//  2. The index holds exactly the uids of the order (5 of ARCHITECTURE.md).
//  3. Before a chunk changes, appears or disappears the pool's touch hook is
//     called with its separator while the old form can still be read.
//  4. No stored bytes make LoadChunk panic or allocate more than in proportion to
//     their length (11 of ARCHITECTURE.md).
package neighbors
