// Package raftfsm replicates shards: it turns package engine's graph into the
// state machine of a Raft group, keeps the groups' logs and snapshots on disk, and
// runs the groups of a node side by side.
//
// A Host is what a node has: one Pebble for the logs of all groups, so that one
// sync serves them all; a second one for the snapshots; and the HIGHWATER file, which
// remembers how far each log was durable, because a damaged log must never pass for a
// shorter one. A Group is one shard: proposals go in by Apply, reads look at the graph
// under its read lock. Read Options, Host and Group first, then EntryDecoder for what
// an entry is. FORMATS.md specifies all that is stored.
//
// What an entry does is decided by the entry and the state alone, so that replicas
// are equal at equal index (invariant 6); its errors are values. An entry that cannot
// be decoded stops the node. What was acknowledged is on disk (invariant 1): log,
// then mark, then answer; state, then shortening of the log. A snapshot is incremental,
// atomic, and taken while entries go on being applied (invariants 2, 3 and 8).
//
// hashicorp/raft is used with care: its heartbeats stay on its main loop, a vote
// is one write, committed logs are not restored by it, a log that diverged from an
// installed snapshot is deleted and the instance made anew, and any error of the log
// ends the node by Options.Fatal, never by a panic or an exit; from then on nothing
// is sent in raft's name, so that the followers elect another leader.
//
// The package refuses to batch, to route, to read the clock for anything that is
// replicated, and to open sockets: transports come in by Options.
//
// All exported methods of Host and Group are safe for concurrent use. Goroutines are
// owned by the host (one manager a group, one watches the disk's free space) and by a group's raft instance (three, and
// raft's own); Close waits for them. After a fatal error those that met it are parked
// until Close, and raft's may be left behind: the process is expected to end.
package raftfsm
