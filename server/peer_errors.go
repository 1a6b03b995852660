package server

import (
	"errors"

	"github.com/kithgraph/kith/raftfsm"
)

// Errors of bytes on the peer port. Each ends its connection.
var (
	// errPortMagic is returned when the first bytes are not portMagic: this is no
	// node of a kith cluster.
	errPortMagic = errors.New("peer port: not a kith node")
	// errPortVersion is returned for a frame, or an opening, of versions that this
	// program does not speak.
	errPortVersion = errors.New("peer port: unknown version")
	// errPortFrameLarge is returned for a frame that announces more than was agreed.
	errPortFrameLarge = errors.New("peer port: frame too large")
	// errPortChecksum is returned for a frame that was damaged, or that belongs to
	// another connection.
	errPortChecksum = errors.New("peer port: wrong checksum")
	// errPortCorrupt is returned for a sound frame whose content breaks a rule.
	errPortCorrupt = errors.New("peer port: corrupt frame")
	// errPortUnexpected is returned for a frame of a kind that may not come now.
	errPortUnexpected = errors.New("peer port: unexpected frame")
)

// Errors of the opening of a connection between nodes.
var (
	// errPortCluster is returned when the other node belongs to another cluster.
	errPortCluster = errors.New("peer port: the other node is of another cluster")
	// errPortProof is returned when the other side does not know the cluster's
	// secret, or repeats what it overheard.
	errPortProof = errors.New("peer port: the other side did not prove that it belongs to the cluster")
	// errPortOtherNode is returned when another node answers at a node's address.
	errPortOtherNode = errors.New("peer port: another node answers at this address")
	// errPortOpeningTime is returned when the opening was not finished in time.
	errPortOpeningTime = errors.New("peer port: the opening took too long")
)

// Reasons for which a node ends a connection to a peer.
var (
	errPortCrowded  = errors.New("peer port: too many connections that have not proved themselves")
	errPortFull     = errors.New("peer port: too many connections")
	errPortReplaced = errors.New("peer port: the node has opened newer connections")
	errPortIdle     = errors.New("peer port: the connection was silent for too long")
	errPortSlow     = errors.New("peer port: a frame took too long to arrive")
	errPortStuck    = errors.New("peer port: requests were not decided in time")
)

// Errors of requests to peers. After errPortLost and errNoAnswer the request may
// have been carried out or not; after the others it was not.
var (
	errPortLost        = errors.New("the connection to the peer was lost")
	errPortUnreachable = errors.New("the peer cannot be reached")
	errPortQueueFull   = errors.New("too many requests are waiting for the peer")
	errPortTooManyNode = errors.New("too many peers")
	errPortTooLarge    = errors.New("the request is larger than the peer takes")
	errPortRefused     = errors.New("the peer refused the request")
	errPortUnsupported = errors.New("the peer does not know this request")
)

// portCode says in an answer why a request failed.
type portCode uint8

const (
	portNotLeader   portCode = 1 // the node does not lead the shard: ask another one
	portRefused     portCode = 2 // nothing was proposed: the same may succeed later
	portBadMessage  portCode = 3 // the message is malformed or misdirected
	portUnknown     portCode = 4 // it may have happened, or may yet happen
	portUnsupported portCode = 5 // a kind of request that the node does not know
)

// portCodeOf says what a peer is told of a request that ended in err.
func portCodeOf(err error) portCode {
	for _, bad := range []error{errPeerMessageTruncated, errPeerMessageVersion, errPeerMessageCorrupt, errPeerMessageMisdirected} {
		if errors.Is(err, bad) {
			return portBadMessage
		}
	}
	switch {
	case errors.Is(err, raftfsm.ErrNotLeader), errors.Is(err, errShardNotReady):
		return portNotLeader
	case errors.Is(err, errPortUnsupported):
		return portUnsupported
	case wasRefused(err), errors.Is(err, errNoMemory):
		return portRefused
	}
	return portUnknown
}

// remoteError is what a peer answered.
type remoteError struct {
	Code portCode
	Text string // for people; written by the peer
}

func (e *remoteError) Error() string { return "answer of the peer: " + e.Text }

// Unwrap returns the error of this package that stands for the code, if any.
func (e *remoteError) Unwrap() error {
	switch e.Code {
	case portNotLeader:
		return raftfsm.ErrNotLeader
	case portRefused:
		return errPortRefused
	case portBadMessage:
		return errPeerMessageCorrupt
	case portUnsupported:
		return errPortUnsupported
	}
	return nil
}
