package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithgraph/kith/wire"
)

// conn is one connection after its hello. Any number of callers share it; the
// answers are read by the goroutine in run, which also starts and awaits the
// connection's two others: writeLoop and keepAlive.
type conn struct {
	core  *core
	nc    net.Conn
	addr  string
	hello wire.HelloReply

	// Set before the first use, then only read.
	leaderWrites bool // callers may write by themselves; see flush.go
	guard        *time.Timer

	frames atomic.Uint64 // answers heard
	dead   chan struct{} // closed by fail
	wake   chan struct{} // tells writeLoop that it has become the flusher

	// rest is what a caller's write left over. It belongs to whoever is flushing.
	rest []byte

	mu struct {
		sync.Mutex // never held across I/O or a wait
		failed     error
		slots      slotTable
		out, spare []byte
		queued     uint64        // bytes ever put into out
		taken      uint64        // bytes ever taken from out to be written, less what failed to be
		flushing   bool          // somebody takes from out until it is empty
		room       chan struct{} // closed when a full table or queue has room again
	}

	// Scratch of the reading goroutine.
	answers []answer
}

// answer is one frame on its way from the read buffer to its call.
type answer struct {
	call   *call
	stream *stream
	code   wire.Code
	more   bool
	body   []byte
}

func newConn(c *core, nc net.Conn, addr string, hello wire.HelloReply) *conn {
	cn := &conn{core: c, nc: nc, addr: addr, hello: hello, dead: make(chan struct{}), wake: make(chan struct{}, 1)}
	cn.mu.slots.limit = int(min(uint32(c.options.MaxInFlight), hello.MaxInFlight))
	cn.leaderWrites = c.options.TLSConfig == nil
	cn.guard = time.AfterFunc(leaderWriteLimit, cn.interruptWrite)
	cn.guard.Stop()
	return cn
}

// run serves the connection until it fails or is closed, and returns why.
func (cn *conn) run() error {
	var own sync.WaitGroup
	own.Go(cn.writeLoop)
	own.Go(cn.keepAlive)
	cn.fail(cn.readLoop())
	own.Wait()
	cn.guard.Stop()
	cn.mu.Lock()
	defer cn.mu.Unlock()
	return cn.mu.failed
}

// fail ends the connection: all calls that wait on it get the error. Only the
// first failure counts.
func (cn *conn) fail(err error) {
	cn.mu.Lock()
	if cn.mu.failed != nil {
		cn.mu.Unlock()
		return
	}
	cn.mu.failed = err
	waiting := cn.mu.slots.slots
	cn.mu.slots = slotTable{}
	taken := cn.mu.taken
	cn.signalRoom()
	cn.mu.Unlock()

	cn.core.pool.remove(cn, err)
	close(cn.dead)
	_ = cn.nc.Close()
	for i := range waiting {
		cl := waiting[i].call
		switch {
		case cl == nil:
		case waiting[i].stream != nil:
			waiting[i].stream.lose(err)
		default:
			cl.err, cl.sent = err, waiting[i].end <= taken
			cl.done <- struct{}{}
		}
	}
}

// roundTrip sends the request and waits for its answer.
func (cn *conn) roundTrip(l limit, cl *call) *Error {
	if err := cn.send(l, cl); err != nil {
		return err
	}
	select {
	case <-cl.done:
		return cl.result()
	case <-l.ctx.Done():
	case <-l.timer:
	}
	if cn.abandon(cl) {
		return unknownOutcome("no answer in time", endOf(l.ctx))
	}
	// The answer is being handed over at this moment.
	<-cl.done
	return cl.result()
}

// abandon takes the call out of its slot. False: its answer is on its way.
func (cn *conn) abandon(cl *call) bool {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	return cn.mu.slots.abandon(cl.id, cl)
}

// signalRoom wakes the callers that wait for a slot or for the queue. mu is held.
func (cn *conn) signalRoom() {
	if cn.mu.room != nil {
		close(cn.mu.room)
		cn.mu.room = nil
	}
}

// readLoop reads answers until the connection ends, and returns why.
func (cn *conn) readLoop() error {
	buf := make([]byte, readBufferBytes)
	filled := 0
	for {
		if filled == len(buf) {
			// Only one frame that has not wholly arrived is left in the buffer, so this
			// grows with bytes that are there, at most to the agreed frame size.
			buf = append(buf, make([]byte, min(len(buf), wire.HeaderBytes+int(cn.hello.MaxFrameBytes)-len(buf)))...)
		}
		n, err := cn.nc.Read(buf[filled:])
		filled += n
		rest, perr := cn.take(buf[:filled])
		if perr != nil {
			return perr
		}
		if err != nil {
			return fmt.Errorf("%w: reading: %w", ErrConnectionLost, err)
		}
		if filled = len(rest); filled == 0 && len(buf) > maxKeptBufferBytes {
			buf = make([]byte, readBufferBytes)
		}
		copy(buf, rest)
	}
}

// take hands all whole frames in buf to their calls and returns what is left.
// The calls are looked up for all frames under one lock.
func (cn *conn) take(buf []byte) (rest []byte, err error) {
	cn.answers = cn.answers[:0]
	cn.mu.Lock()
	for err == nil {
		var h wire.Header
		var body []byte
		if h, body, buf, err = wire.NextFrame(buf, cn.hello.MaxFrameBytes); err == nil {
			err = cn.match(h, body)
		}
	}
	if len(cn.answers) > 0 {
		cn.signalRoom()
	}
	cn.mu.Unlock()

	// All of them: those behind a breach have given up their slots too.
	var breach error
	for _, a := range cn.answers {
		if lost := cn.deliver(a); breach == nil {
			breach = lost
		}
	}
	clear(cn.answers)
	switch {
	case breach != nil:
		return nil, breach
	case errors.Is(err, wire.ErrIncomplete):
		return buf, nil
	case errors.Is(err, wire.ErrFrameTooLarge):
		return nil, protocolError("%v", err)
	default:
		return nil, err
	}
}

// match finds the call that a frame answers and queues it in answers. mu is held.
func (cn *conn) match(h wire.Header, body []byte) error {
	if cn.mu.failed != nil {
		return cn.mu.failed
	}
	if h.ID == wire.ConnectionID {
		return fmt.Errorf("%w: closed by the server: %v", ErrConnectionLost, replyError(h.Code(), body))
	}
	s := cn.mu.slots.find(h.ID)
	switch {
	case s == nil:
		return protocolError("an answer to request %#x, which was not made", h.ID)
	case h.Type&^(wire.CodeMask|wire.StatusMore) != 0:
		return protocolError("an answer of unknown type %#x", h.Type)
	case h.More() && s.call != nil && s.stream == nil:
		return protocolError("a stream in answer to a request that asks for none")
	}
	cn.answers = append(cn.answers, answer{call: s.call, stream: s.stream, code: h.Code(), more: h.More(), body: body})
	if !h.More() {
		cn.mu.slots.release(h.ID)
	}
	cn.frames.Add(1)
	return nil
}

// deliver gives an answer to its call, which may be gone afterwards.
func (cn *conn) deliver(a answer) error {
	switch {
	case a.call == nil: // late: nobody waits any more
	case a.stream != nil:
		return a.stream.push(a.code, a.more, a.body)
	default:
		a.call.code, a.call.err = a.code, nil
		a.call.reply = append(a.call.reply[:0], a.body...)
		a.call.done <- struct{}{}
	}
	return nil
}

// keepAlive pings the connection when nothing was heard for a while, and gives it
// up when that is not answered either. A server that closes idle connections
// sooner is pinged sooner.
func (cn *conn) keepAlive() {
	every := cn.core.options.KeepAlive
	if idle := time.Duration(cn.hello.IdleTimeoutMillis) * time.Millisecond; idle > 0 {
		every = max(min(every, idle/3), time.Millisecond)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for heard := cn.frames.Load(); ; heard = cn.frames.Load() {
		select {
		case <-ticker.C:
		case <-cn.dead:
			return
		}
		if cn.frames.Load() == heard && !cn.ping() && cn.frames.Load() == heard {
			cn.fail(fmt.Errorf("%w: silent for %v, even when pinged", ErrConnectionLost, 2*every))
			return
		}
	}
}

// ping reports whether the connection answers, or is dead already. To find no
// slot free for so long is no answer either.
func (cn *conn) ping() bool {
	cl := cn.core.newCall(wire.TypePing, false)
	defer cn.core.release(cl)
	cl.body = cl.body[:0]
	cl.timer.Reset(cn.core.options.KeepAlive)
	err := cn.roundTrip(limit{ctx: cn.core.ctx, timer: cl.timer.C}, cl)
	return err == nil || !errors.Is(err, context.DeadlineExceeded)
}
