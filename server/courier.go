package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/internal/failpoint"
	"github.com/kithgraph/kith/shard"
)

// courier carries the outbox of one source shard to the other shards, while this
// node leads the source. For each destination at most one batch is under way;
// its answer says up to which number the destination has applied the stream,
// which resolves waiters, lets the outbox be trimmed and makes room for the next
// batch. Whatever is lost or doubled on the way is mended by sending again from
// that number: the destination takes each item once, in order.
//
// One goroutine does everything; others leave it mail. Safe for concurrent use.
type courier struct {
	courierOptions
	wake    chan struct{} // room for one token: read the mail
	stop    chan struct{}
	running sync.WaitGroup

	leading bool // as the goroutine knows it
	epoch   uint64
	streams []*stream     // by destination; nil for the source itself
	due     []*stream     // scratch
	items   []engine.Item // scratch

	mail struct {
		sync.Mutex
		leading bool
		epoch   uint64 // counts changes of leading
		closed  bool
		answers []answer
	}
}

type courierOptions struct {
	shard        shard.ID
	shards       int
	group        shardGroup
	peers        peers
	batcher      *batcher
	waiters      *waiters
	logger       *slog.Logger
	answerWithin time.Duration // a delivery without an answer has failed after this time
	firstPause   time.Duration // after a failure; doubles up to longestPause
	longestPause time.Duration
}

// answer is what came of a delivery, or the end of a stream's timer.
type answer struct {
	to      shard.ID
	attempt uint64
	applied uint64
	err     error
}

// errNoAnswer ends deliveries and pauses whose time is over.
var errNoAnswer = errors.New("no answer in time")

func newCourier(options courierOptions) *courier {
	c := &courier{
		courierOptions: options,
		wake:           make(chan struct{}, 1),
		stop:           make(chan struct{}),
		streams:        make([]*stream, options.shards),
	}
	for to := range c.streams {
		if shard.ID(to) != c.shard {
			c.streams[to] = &stream{to: shard.ID(to)}
		}
	}
	c.running.Go(c.run)
	return c
}

// lead says whether this node leads the source from now on.
func (c *courier) lead(leading bool) {
	c.mail.Lock()
	defer c.mail.Unlock()
	if c.mail.leading != leading {
		c.mail.leading = leading
		c.mail.epoch++
		c.outboxChanged()
	}
}

// outboxChanged makes the courier look at the outbox.
func (c *courier) outboxChanged() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *courier) post(a answer) {
	c.mail.Lock()
	if !c.mail.closed {
		c.mail.answers = append(c.mail.answers, a) // two for each stream and attempt at most
	}
	c.mail.Unlock()
	c.outboxChanged()
}

// close stops the courier and waits for it. Items that it leaves behind are in
// the replicated outbox.
func (c *courier) close() {
	c.mail.Lock()
	if !c.mail.closed {
		c.mail.closed = true
		close(c.stop)
	}
	c.mail.Unlock()
	c.running.Wait()
}

func (c *courier) run() {
	defer c.reset()
	for {
		select {
		case <-c.wake:
			c.readMail()
			if c.leading {
				c.sendAll()
			}
		case <-c.stop:
			return
		}
	}
}

func (c *courier) readMail() {
	c.mail.Lock()
	leading, epoch, answers := c.mail.leading, c.mail.epoch, c.mail.answers
	c.mail.answers = nil
	c.mail.Unlock()
	if epoch != c.epoch {
		if c.leading || epoch > c.epoch+1 { // leadership was lost, and perhaps regained
			c.waiters.flush()
		}
		c.reset()
		c.leading, c.epoch = leading, epoch
	}
	for _, a := range answers {
		if s := c.streams[a.to]; s.attempt == a.attempt {
			c.receive(s, a)
		}
	}
}

// reset forgets everything that is not in the replicated state.
func (c *courier) reset() {
	for _, s := range c.streams {
		if s != nil {
			s.leave()
			s.after, s.backoff = 0, 0
		}
	}
}

// sendAll sends a batch on every stream that has items and is free to send.
func (c *courier) sendAll() {
	c.due = c.due[:0]
	graph := c.group.RLock()
	for _, s := range c.streams {
		if s == nil || s.state != streamIdle {
			continue
		}
		if trimmed, last := graph.OutboxRange(s.to); last > max(trimmed, s.after) {
			c.due = append(c.due, s)
		}
	}
	c.group.RUnlock()
	for _, s := range c.due {
		c.send(s)
	}
}

func (c *courier) send(s *stream) {
	graph := c.group.RLock()
	items, first := graph.Outbox(s.to, s.after, maxPeerItems, c.items[:0])
	c.group.RUnlock()
	c.items = items
	if len(items) == 0 {
		return
	}
	message := peerDeliver{From: c.shard, To: s.to, First: first, Items: items}
	payload := message.append(nil)
	s.sent = first + uint64(len(items)) - 1
	s.enter(streamDelivering, c.answerWithin, c.timeIsOver(s.to))
	attempt := s.attempt
	failpoint.Hit("server/courier-sent")
	c.peers.Deliver(s.to, payload, func(applied uint64, err error) {
		c.post(answer{to: s.to, attempt: attempt, applied: applied, err: err})
	})
}

func (c *courier) timeIsOver(to shard.ID) func(attempt uint64) {
	return func(attempt uint64) { c.post(answer{to: to, attempt: attempt, err: errNoAnswer}) }
}

// receive takes the answer that a stream waits for.
func (c *courier) receive(s *stream, a answer) {
	paused := s.state == streamPausing
	s.leave()
	switch {
	case paused: // the pause is over: the stream is free to send
		return
	case a.err != nil:
		c.logger.Debug("a delivery failed", "shard", c.shard, "to", s.to, "error", a.err)
		c.pause(s)
		return
	}
	failpoint.Hit("server/ack-received")
	trimmed, last := c.outboxRange(s.to)
	if a.applied < trimmed || a.applied > last {
		// Either this node has been deposed and does not know it yet, or a shard has
		// lost committed state, which sending on could only hide.
		c.logger.Warn("a shard's mark is outside of the outbox kept for it", "shard", c.shard, "to", s.to,
			"mark", a.applied, "trimmed", trimmed, "last", last)
		c.pause(s)
		return
	}
	c.waiters.acknowledge(s.to, a.applied)
	if a.applied > trimmed {
		c.batcher.trim(s.to, a.applied)
	}
	// A mark below the delivery's end tells of a gap: go on from the mark, but not
	// in a hurry, for nothing of this delivery was of use.
	s.after = a.applied
	if a.applied < s.sent {
		c.pause(s)
		return
	}
	s.backoff = 0
}

func (c *courier) pause(s *stream) {
	s.backoff = min(max(2*s.backoff, c.firstPause), c.longestPause)
	s.enter(streamPausing, s.backoff, c.timeIsOver(s.to))
}

func (c *courier) outboxRange(to shard.ID) (trimmed, last uint64) {
	graph := c.group.RLock()
	defer c.group.RUnlock()
	return graph.OutboxRange(to)
}
