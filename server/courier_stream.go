package server

import (
	"time"

	"github.com/kithgraph/kith/shard"
)

// stream is a courier's view of the outbox for one destination. The courier's
// goroutine owns it. The truth is in the replicated state: a stream can be made
// anew from that at any time.
type stream struct {
	to    shard.ID
	state streamState
	// attempt numbers what the stream waits for, so that an answer or a timer that
	// comes too late is told apart.
	attempt uint64
	timer   *time.Timer // ends the delivery or the pause of this attempt
	after   uint64      // the destination has all items up to this one
	sent    uint64      // number of the last item of the delivery under way
	backoff time.Duration
}

type streamState uint8

const (
	streamIdle       streamState = iota
	streamDelivering             // a batch is under way
	streamPausing                // after a failure, until the timer fires
)

// enter begins a state that ends with an answer or when the timer fires.
func (s *stream) enter(state streamState, limit time.Duration, fire func(attempt uint64)) {
	s.leave()
	s.state = state
	attempt := s.attempt
	s.timer = time.AfterFunc(limit, func() { fire(attempt) })
}

// leave makes the stream idle, and deaf to what it waited for.
func (s *stream) leave() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.attempt++
	s.state = streamIdle
}
