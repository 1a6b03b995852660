// Package engine is one shard's follow graph, in memory: the names of the users
// who live here, whom each follows and is followed by, in order and with times,
// and the queue of changes that other shards have yet to hear of.
//
// It is a function of its inputs: no clock, network, disk, goroutine or lock.
// The same sequence of calls gives the same state, the same answers and the same
// stored bytes on every replica. It does not decide who may call, does not know
// raft, and does not check that a user of another shard exists: of such a user
// it sees only the number.
//
// Read first: Graph (everything but storage), Frozen and Loader (out of memory
// and back into it, a record at a time; FORMATS.md specifies the records), Item
// (what one shard tells another).
//
// A follow of someone in another shard is applied here and queued in the outbox
// for that shard, numbered from 1 without a gap. The other shard's Deliver takes
// an item only when its number is the next one, so sending again is harmless;
// Trim forgets what has been applied there. Each shard keeps a user's mutual
// count from that user's own two lists.
//
// Reads (Lookup, LookupMany, UserID, Counts, FollowTypes, Page, Outbox and the
// other methods that take no action) may run concurrently with each other, never
// with a write, nor with Freeze, Next, Commit or Abort: the caller locks. Wrong
// arguments are values of type Outcome or error; only a broken invariant of this
// package's own panics.
//
// Kept here, of the invariants in ARCHITECTURE.md: 2 within a shard, 3 (one
// delivery each, in order), 4 (the cap), 5 (counts), 7 (names), and with them 6
// and 8, for everything here is deterministic. Check asserts them.
package engine
