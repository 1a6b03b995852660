package raftfsm

import "errors"

// Errors of bytes that were read back: entries, log values, side files, streams.
// The three are never confused, because what an operator must do differs.
var (
	// ErrCorrupt is returned for bytes that this format can never produce.
	ErrCorrupt = errors.New("raftfsm: corrupt")
	// ErrTruncated is returned for bytes that end too early.
	ErrTruncated = errors.New("raftfsm: truncated")
	// ErrUnknownVersion is returned for a format that a newer version wrote.
	ErrUnknownVersion = errors.New("raftfsm: unknown version")
)

// Errors of Open.
var (
	// ErrLogBehind is returned when a reopened log ends below what was durable
	// before, that is, when the disk lost synced entries, and no peer can have them.
	ErrLogBehind = errors.New("raftfsm: the log ends before its high-water mark")
	// ErrLogGap is returned when entries are missing between the state and the log.
	ErrLogGap = errors.New("raftfsm: entries are missing between the state and the log")
	// ErrOptions is returned for options that cannot work.
	ErrOptions = errors.New("raftfsm: bad options")
)

// Errors of proposals.
var (
	// ErrNotLeader is returned when this node does not lead the group. Nothing was proposed.
	ErrNotLeader = errors.New("raftfsm: not the leader")
	// ErrUnknownOutcome is returned when the entry may or may not be committed.
	ErrUnknownOutcome = errors.New("raftfsm: outcome unknown")
	// ErrOverloaded is returned when too many entries are in flight. Nothing was proposed.
	ErrOverloaded = errors.New("raftfsm: too many entries in flight")
	// ErrEntryTooLarge is returned for an entry above the limits. Nothing was proposed.
	ErrEntryTooLarge = errors.New("raftfsm: entry too large")
	// ErrClosed is returned after Close began. Nothing was proposed.
	ErrClosed = errors.New("raftfsm: closed")
)

// ErrAlreadyApplied is the result of an entry that the state already contains.
var ErrAlreadyApplied = errors.New("raftfsm: already applied")

// Errors of snapshots and of the running node.
var (
	// ErrStaleSnapshot is returned when an older snapshot would replace a newer one.
	ErrStaleSnapshot = errors.New("raftfsm: an older snapshot cannot replace a newer one")
	// ErrSnapshotTooLarge is returned when more changed since the last snapshot than
	// one batch can hold, 2 GiB. The log keeps what the snapshot would have held.
	ErrSnapshotTooLarge = errors.New("raftfsm: snapshot too large")
	// ErrNoSnapshot is returned when a snapshot is opened that is not, or no longer, stored.
	ErrNoSnapshot = errors.New("raftfsm: no such snapshot")
	// ErrStopped is returned after a fatal error: the node must be restarted.
	ErrStopped = errors.New("raftfsm: stopped by a fatal error")
	// ErrVoteWithheld answers peers while this node's log is behind its high-water mark.
	ErrVoteWithheld = errors.New("raftfsm: no votes while the log is behind its high-water mark")
)

// errCloseTimeout ends a Close that takes longer than Options.CloseTimeout.
var errCloseTimeout = errors.New("raftfsm: closing takes too long")

// errNotFound is what hashicorp/raft compares by its text to learn that a stable key is unset.
var errNotFound = errors.New("not found")
