package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kithgraph/kith/shard"
)

const (
	// linkBatchBytes is about how much one write to a peer carries.
	linkBatchBytes = 256 << 10
)

// peerLink sends requests to one other node, over one connection at a time. It
// dials when there is something to send, pauses after a failure, and keeps a
// connection open by pings.
//
// A request that was sent when the connection broke fails, for it may have been
// carried out; those that still wait go over the next connection, and fail when
// that cannot be made. Whoever takes a call out of the queue or of sent, under the
// lock, and nobody else, ends it: so each ends exactly once.
type peerLink struct {
	*portDialer
	node    peerAddress
	ctx     context.Context // ends with the link
	cancel  context.CancelFunc
	wake    chan struct{} // one slot: there is something in the queue
	backoff time.Duration // owned by run

	mu struct {
		sync.Mutex
		closed bool
		queue  []*linkCall
		sent   map[uint64]*linkCall
		lastID uint64
		bytes  int // of both
	}
}

// linkCall is a request on its way.
type linkCall struct {
	to      shard.ID
	payload []byte
	done    func(applied uint64, err error)
	since   time.Time
}

func (c *linkCall) sizeBytes() int { return len(c.payload) + portRequestBytes }

// newPeerLink starts a link; running counts its goroutines.
func newPeerLink(d *portDialer, node peerAddress, running *sync.WaitGroup) *peerLink {
	l := &peerLink{portDialer: d, node: node, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.mu.sent = make(map[uint64]*linkCall)
	running.Go(l.run)
	return l
}

// close makes the link end; what waits fails. It does not wait.
func (l *peerLink) close() { l.cancel() }

// call sends a request, or fails it.
func (l *peerLink) call(c *linkCall) {
	c.since = l.now()
	if err := l.enqueue(c); err != nil {
		c.done(0, err)
		return
	}
	signal(l.wake)
}

func (l *peerLink) enqueue(c *linkCall) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		return errClosing
	case len(l.mu.queue)+len(l.mu.sent) >= l.limits.Queue,
		l.mu.bytes+c.sizeBytes() > l.limits.QueueBytes:
		return errPortQueueFull
	}
	l.mu.queue = append(l.mu.queue, c)
	l.mu.bytes += c.sizeBytes()
	return nil
}

// run connects when there is something to send, until close.
func (l *peerLink) run() {
	for l.awaitWork() {
		useful, err := l.connectAndSend()
		if useful {
			l.backoff = 0
			continue
		}
		if l.ctx.Err() == nil {
			l.rare.warn("cannot work with a peer", "peer", l.node.NodeID, "address", l.node.Address, "error", err)
		}
		if !l.pause() {
			break
		}
	}
	l.mu.Lock()
	l.mu.closed = true
	l.mu.Unlock()
	l.fail(errClosing, l.takeQueue)
}

// awaitWork blocks until something is in the queue; false when the link is closed.
func (l *peerLink) awaitWork() bool {
	for l.ctx.Err() == nil {
		if l.hasQueue() {
			return true
		}
		select {
		case <-l.wake:
		case <-l.ctx.Done():
		}
	}
	return false
}

func (l *peerLink) hasQueue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.queue) > 0
}

// connectAndSend makes a connection and uses it to its end. useful says that
// requests were answered.
func (l *peerLink) connectAndSend() (useful bool, err error) {
	c, err := l.dialPeer(l.ctx, l.node)
	if err != nil {
		l.fail(fmt.Errorf("%w: %w", errPortUnreachable, err), l.takeQueue)
		return false, err
	}
	useful, err = l.converse(c)
	l.fail(fmt.Errorf("%w: %w", errPortLost, err), l.takeSent)
	return useful, err
}

// pause waits between two attempts, longer each time, at random so that the
// nodes of a cluster do not do it in step. It is false when the link is closed.
func (l *peerLink) pause() bool {
	l.backoff = min(max(2*l.backoff, l.limits.FirstPause), l.limits.LongestPause)
	var draw [8]byte
	if _, err := io.ReadFull(l.random, draw[:]); err != nil {
		clear(draw[:]) // less random, not less right
	}
	half := max(l.backoff/2, 1)
	timer := time.NewTimer(half + time.Duration(binary.LittleEndian.Uint64(draw[:])%uint64(half)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// converse sends what comes into the queue until the connection ends.
func (l *peerLink) converse(c *linkConn) (useful bool, err error) {
	stop := context.AfterFunc(l.ctx, func() { c.nc.Close() })
	defer stop()
	var readError error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		useful, readError = l.readAnswers(c)
	}()
	writeError := l.sendAll(c, ended)
	c.nc.Close()
	<-ended
	c.in.in.release()
	if l.ctx.Err() != nil {
		return useful, errClosing
	}
	if writeError != nil {
		return useful, writeError
	}
	return useful, readError
}

// sendAll writes requests and pings until ended or an error.
func (l *peerLink) sendAll(c *linkConn, ended <-chan struct{}) error {
	ticks := time.NewTicker(l.limits.KeepAlive)
	defer ticks.Stop()
	for {
		if err := l.sendQueue(c); err != nil {
			return err
		}
		select {
		case <-l.wake:
		case <-ticks.C:
			l.fail(errNoAnswer, l.takeOverdue)
			if err := c.write(appendEmptyFrame(nil, c.in.seed, portPingKind, 0)); err != nil {
				return err
			}
		case <-ended:
			return nil
		}
	}
}

// sendQueue writes all that is in the queue, in writes of a bounded size.
func (l *peerLink) sendQueue(c *linkConn) error {
	for {
		frames := l.takeBatch(c)
		if len(frames) == 0 {
			return nil
		}
		if err := c.write(frames); err != nil {
			return err
		}
	}
}

// takeBatch moves calls from the queue to sent and returns their frames.
func (l *peerLink) takeBatch(c *linkConn) (frames []byte) {
	var large []*linkCall
	l.mu.Lock()
	frames = c.frames[:0]
	taken := 0
	for taken < len(l.mu.queue) && len(frames) < linkBatchBytes {
		call := l.mu.queue[taken]
		taken++
		if len(call.payload)+2 > c.maxBodyBytes {
			l.mu.bytes -= call.sizeBytes()
			large = append(large, call)
			continue
		}
		l.mu.lastID++
		l.mu.sent[l.mu.lastID] = call
		frames = appendDeliverRequest(frames, c.in.seed, l.mu.lastID, call.to, call.payload)
	}
	l.mu.queue = slices.Delete(l.mu.queue, 0, taken)
	l.mu.Unlock()
	c.frames = frames
	for _, call := range large {
		call.done(0, errPortTooLarge)
	}
	return frames
}

// readAnswers ends calls until the connection ends.
func (l *peerLink) readAnswers(c *linkConn) (useful bool, err error) {
	for {
		f, err := c.in.next(l.limits.FrameBytes)
		if err != nil {
			return useful, err
		}
		if f.Kind == portPongKind && len(f.Body) == 0 {
			continue
		}
		var answer deliverAnswer
		if err := answer.decode(f); err != nil {
			return useful, err
		}
		if call := l.takeAnswered(answer.id); call != nil { // else it was given up
			useful = true
			call.done(answer.applied, answer.err)
		}
	}
}

// fail ends the calls that take takes out, with err.
func (l *peerLink) fail(err error, take func() []*linkCall) {
	for _, call := range take() {
		call.done(0, err)
	}
}

func (l *peerLink) takeAnswered(id uint64) *linkCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	call := l.mu.sent[id]
	if call != nil {
		delete(l.mu.sent, id)
		l.mu.bytes -= call.sizeBytes()
	}
	return call
}

func (l *peerLink) takeQueue() []*linkCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.mu.queue
	l.mu.queue = nil
	for _, call := range calls {
		l.mu.bytes -= call.sizeBytes()
	}
	return calls
}

func (l *peerLink) takeSent() []*linkCall {
	return l.takeSentIf(func(*linkCall) bool { return true })
}

func (l *peerLink) takeOverdue() []*linkCall {
	now := l.now()
	return l.takeSentIf(func(call *linkCall) bool { return now.Sub(call.since) > l.limits.Answer })
}

func (l *peerLink) takeSentIf(take func(*linkCall) bool) (calls []*linkCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, call := range l.mu.sent {
		if take(call) {
			delete(l.mu.sent, id)
			l.mu.bytes -= call.sizeBytes()
			calls = append(calls, call)
		}
	}
	return calls
}
