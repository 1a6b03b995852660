// Package server is a node: it serves clients from the shards that it holds.
//
// Start opens the data folder, the shards (raftfsm) and the listeners;
// Shutdown closes them in order. Everything of the outside world, clock, disk, listener and
// randomness, comes in through Options, and every limit has its field there.
//
// The connection side: a goroutine for each connection reads what has arrived and
// serves all complete frames in one pass, in stages (pass): parse, names by
// home shard, graphs, encode, write. A shard's read lock is held only while memory
// is read, and let go between costly reads. Follows, unfollows and imports leave
// the pass for the write side and are answered later, in any order, through the
// connection's output; so no read waits behind a write. An export is a goroutine
// that sends frames as the client gives credit. A client that does not read its
// answers is not read from either: what a connection holds is bounded, and so is
// what all of them hold together, whatever clients send or leave unread
// (invariant 11 of ARCHITECTURE.md; budget, unreadMemory).
//
// The write side (writer) resolves and registers names, batches the changes of
// each shard into log entries, and couriers them to the shards of the followed
// users. It never blocks its callers.
//
// The peer port (peerPort, PEERS.md) takes what other nodes' couriers bring, once
// they have proved that they belong to the cluster; remotePeers is its other end.
//
// What the package refuses to do: to decide anything about the graph (engine
// does), to keep state of its own besides the identity file, and to interpret
// cursors other than those that it sealed itself.
//
// Read Options, Server, conn and pass first, then writer. Server's methods are
// safe for concurrent use. Lock order: leaderWriter before all locks of the write
// side; clients, streams, export, output, unreadMemory, peerPort, remotePeers and
// peerLink are never held together. No mutex is held across a wait or I/O; a
// graph's read lock excludes them all.
package server
