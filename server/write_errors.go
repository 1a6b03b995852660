package server

import (
	"errors"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/wire"
)

// Errors of writes that were refused before anything was proposed: a repeat is
// safe and may succeed.
var (
	errShardNotReady = errors.New("the shard has no ready leader here")
	errQueueFull     = errors.New("too many writes are waiting for the shard")
	errOutboxFull    = errors.New("too many changes are waiting for the other user's shard")
	errClosing       = errors.New("the node is shutting down")
	errNotRegistered = errors.New("the user could not be registered")
	errAbandoned     = errors.New("the write was given up before it was proposed")
)

// errDeadline is given to writes that were accepted but not decided in time.
var errDeadline = errors.New("the write was not decided in time; it may yet happen")

// Errors of messages from peers.
var (
	// errPeerMessageTruncated is returned for a message that ends too early.
	errPeerMessageTruncated = errors.New("peer message: truncated")
	// errPeerMessageVersion is returned for a message of a version that this
	// program does not know.
	errPeerMessageVersion = errors.New("peer message: unknown version")
	// errPeerMessageCorrupt is returned for a message that breaks a rule of its
	// version.
	errPeerMessageCorrupt = errors.New("peer message: corrupt")
	// errPeerMessageMisdirected is returned for a sound message whose shards do
	// not fit this cluster's layout, the users that it names or its receiver.
	errPeerMessageMisdirected = errors.New("peer message: misdirected")
)

// wasRefused says whether err means that nothing was proposed. Everything else
// may have happened, or may yet happen.
func wasRefused(err error) bool {
	for _, refusal := range []error{errShardNotReady, errQueueFull, errOutboxFull, errClosing, errAbandoned,
		raftfsm.ErrNotLeader, raftfsm.ErrOverloaded, raftfsm.ErrEntryTooLarge, raftfsm.ErrClosed} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// codeOf says what a client is told of a write that ended in err.
func codeOf(err error) wire.Code {
	if wasRefused(err) {
		return wire.Unavailable
	}
	return wire.Timeout
}
