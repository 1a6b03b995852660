package server

import (
	"fmt"
	"time"
)

// PeerLimits bounds what other nodes, and strangers on the peer port, can make a
// node hold and wait for. Zero means the default.
type PeerLimits struct {
	// Connections from proved nodes that are open at once. Further ones are closed.
	// Default 256.
	Connections int
	// ConnectionsPerNode bounds those of one node; a newer one ends the oldest, which
	// is most likely what a crash of the other side left behind. Default 4.
	ConnectionsPerNode int
	// PendingProofs is how many connections may be without a finished opening. A
	// newer one ends the oldest, so that silent strangers cannot keep nodes out.
	// Default 128, about 4 KiB each.
	PendingProofs int
	// InFlight is how many requests of a connection may wait for their answer before
	// no more is read from it. Default 256.
	InFlight int
	// InFlightBytes bounds the same requests by their size. Default 16 MiB.
	InFlightBytes int
	// MemoryBytes bounds, for all connections together, waiting requests and read
	// buffers above 64 KiB. Default 256 MiB.
	MemoryBytes int64
	// FrameBytes is the largest body of a frame that this node takes. Default 1 MiB;
	// at least 64 KiB, at most 16 MiB.
	FrameBytes int
	// Queue is how many requests to one node may wait to be sent or answered. Further
	// ones fail at once. Default 1,024: more than one for each pair of shards of two
	// nodes in any cluster of a sensible size.
	Queue int
	// QueueBytes bounds the same requests by their size. Default 64 MiB.
	QueueBytes int

	// Opening is how long the opening of a connection may take, also the one that
	// this node dials. Default 2 s.
	Opening time.Duration
	// KeepAlive is how often the side that has dialed sends a ping. Default 5 s.
	KeepAlive time.Duration
	// Idle is how long a connection may be silent, and how long requests in flight
	// may keep a connection from being read. Default 15 s, three pings.
	Idle time.Duration
	// Frame is how long a frame may take to arrive from its first byte. Default 10 s.
	Frame time.Duration
	// Write is how long the other side may leave unread what it was sent. Default
	// 10 s.
	Write time.Duration
	// Answer is how long a request may wait for its answer, to within KeepAlive.
	// Default 10 s.
	Answer time.Duration
	// FirstPause and LongestPause bound the time between attempts to reach a node,
	// which doubles from one to the next and is drawn at random from its upper half.
	// Default 50 ms and 2 s.
	FirstPause, LongestPause time.Duration
}

func (l PeerLimits) withDefaults() PeerLimits {
	orDefault(&l.Connections, 256)
	orDefault(&l.ConnectionsPerNode, 4)
	orDefault(&l.PendingProofs, 128)
	orDefault(&l.InFlight, 256)
	orDefault(&l.InFlightBytes, 16<<20)
	orDefault(&l.MemoryBytes, 256<<20)
	orDefault(&l.FrameBytes, 1<<20)
	orDefault(&l.Queue, 1024)
	orDefault(&l.QueueBytes, 64<<20)
	orDefault(&l.Opening, 2*time.Second)
	orDefault(&l.KeepAlive, 5*time.Second)
	orDefault(&l.Idle, 15*time.Second)
	orDefault(&l.Frame, 10*time.Second)
	orDefault(&l.Write, 10*time.Second)
	orDefault(&l.Answer, 10*time.Second)
	orDefault(&l.FirstPause, 50*time.Millisecond)
	orDefault(&l.LongestPause, 2*time.Second)
	return l
}

// validate judges the limits with their defaults filled in.
func (l PeerLimits) validate() error {
	l = l.withDefaults()
	for _, n := range []int64{int64(l.Connections), int64(l.ConnectionsPerNode), int64(l.PendingProofs), int64(l.InFlight),
		int64(l.InFlightBytes), l.MemoryBytes, int64(l.Queue), int64(l.QueueBytes), int64(l.Opening), int64(l.KeepAlive),
		int64(l.Idle), int64(l.Frame), int64(l.Write), int64(l.Answer), int64(l.FirstPause), int64(l.LongestPause)} {
		if n < 0 {
			return fmt.Errorf("%w: a limit of the peer port is negative", ErrOptions)
		}
	}
	if l.FrameBytes < portMinBodyBytes || l.FrameBytes > portMaxBodyBytes {
		return fmt.Errorf("%w: FrameBytes of the peer port is %d, it must be from %d to %d",
			ErrOptions, l.FrameBytes, portMinBodyBytes, portMaxBodyBytes)
	}
	if l.KeepAlive >= l.Idle {
		return fmt.Errorf("%w: KeepAlive of the peer port, %v, must be below Idle, %v", ErrOptions, l.KeepAlive, l.Idle)
	}
	return nil
}
