// Package names is the dictionary of one shard: user ids to dense numbers and
// back.
//
// A Table numbers user ids 0, 1, 2 … in the order in which they are first
// interned and never forgets one. It holds no Go pointer per user, so the
// garbage collector has nothing to scan, and its growth never stops the world of
// its shard: bytes lie in chunks that never move, and the hash table is cut into
// 256 segments by hash, each of which grows alone.
//
// What it does not do: it neither validates ids (beyond their length) nor knows
// which shard they belong to, and it stores nothing; package engine persists the
// names in the order of their numbers and interns them again at load. The hash is
// seeded per table, so that nobody can choose ids that collide; nothing that
// leaves the table depends on the seed.
//
// Read Table first. Lookup, LookupMany, ID, Len and MemoryBytes may run
// concurrently with each other, never with Intern. What ID returns stays valid
// and unchanged for ever. Invariant 7 of ARCHITECTURE.md (a name has one uid, a
// uid has one name) is kept here.
package names
