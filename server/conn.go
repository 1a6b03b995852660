package server

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/kithgraph/kith/wire"
)

// conn is one client. Its read loop (the goroutine of serve) owns all fields but
// out and streams, which have their own rules; stop may be called from anywhere.
type conn struct {
	server  *Server
	nc      net.Conn
	host    netip.Prefix // that it is counted for; not valid if it is not counted
	in      readBuffer
	out     *output
	streams streams

	// ending is closed when the connection takes no more requests.
	ending chan struct{}
	// frameBytes is the largest body, as agreed in the hello.
	frameBytes uint32

	// readUntil is the read deadline that nc has.
	readUntil time.Time
	// partial says that the unserved bytes are the beginning of a frame, which
	// began to arrive at partialSince.
	partial      bool
	partialSince time.Time
}

const (
	// lingerTime and lingerBytes bound what is read and dropped after the last
	// answer, so that the bytes still arriving do not make the system take back
	// answers that the client has not read yet.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		server: s, nc: nc, host: hostOf(nc.RemoteAddr()), out: newOutput(nc, s),
		ending: make(chan struct{}), frameBytes: wire.MaxOpeningBytes,
	}
	c.in.pool, c.in.memory = &s.inputs, s.memory
	c.streams.open = make(map[uint32]*export)
	return c
}

// serve runs the connection from its first byte to its last. It returns why the
// connection ended, and leaves nothing running.
func (c *conn) serve() error {
	var writer sync.WaitGroup
	var last []byte
	reason := c.hello()
	c.server.clients.helloEnded(c)
	if reason == nil {
		writer.Go(c.out.run)
		reason = c.readLoop()
		last = farewell(reason)
	}
	c.in.release()
	c.finish(reason, last)
	c.out.kill(reason)
	writer.Wait()
	return c.out.reason()
}

// readLoop serves requests until there will be no more of them.
func (c *conn) readLoop() error {
	for {
		for more := true; more; {
			var err error
			if more, err = c.pass(); err != nil {
				return err
			}
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill waits for more bytes: for the rest of a frame no longer than a frame may
// take, else as long as a connection may be silent.
func (c *conn) fill() error {
	if err := c.in.makeRoom(wire.HeaderBytes + int(c.frameBytes)); err != nil {
		return err
	}
	limits := &c.server.options.Limits
	now := c.server.options.Now()
	limit := now.Add(limits.Idle)
	if len(c.in.bytes()) == 0 {
		c.partial = false
	} else {
		if !c.partial {
			c.partial, c.partialSince = true, now
		}
		limit = c.partialSince.Add(limits.Frame)
	}
	// A deadline that comes too early is moved when it has come, so that the
	// usual read does not pay for setting one.
	if c.readUntil.After(limit) || !c.readUntil.After(now) {
		c.setReadDeadline(limit)
	}
	for {
		if c.server.isStopping() { // after the deadline was set: see stop
			return errStopping
		}
		n, err := c.in.read(c.nc)
		switch {
		case n > 0:
			return nil
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		default:
			if limit, err = c.extend(limit); err != nil {
				return err
			}
			c.setReadDeadline(limit)
		}
	}
}

// extend decides what follows from a read deadline that has passed: the next one,
// or the connection's end.
func (c *conn) extend(limit time.Time) (time.Time, error) {
	now := c.server.options.Now()
	switch {
	case now.Before(limit):
		return limit, nil
	case c.partial:
		return limit, errSlowFrame
	case c.out.inFlight() > 0 || c.streaming():
		return now.Add(c.server.options.Limits.Idle), nil
	}
	return limit, errIdle
}

func (c *conn) setReadDeadline(t time.Time) {
	c.readUntil = t
	// An error means that the connection is closed, which the next read will say.
	_ = c.nc.SetReadDeadline(t)
}

// stop makes the read loop end after what it has read. The server's stopping mark
// is set before: the loop looks at it after each deadline that it sets.
func (c *conn) stop() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// pass serves the complete frames that have arrived, as many as one pass may. It
// reports whether there may be more of them. An error ends the connection.
func (c *conn) pass() (more bool, err error) {
	if c.out.isFull() {
		if err := c.send(nil, 0); err != nil {
			return false, err
		}
	}
	p := c.server.passes.get()
	stop := p.run(c)
	out := p.takeOutput()
	c.server.passes.put(p)
	if len(out.b) > 0 { // else late answers are the writer's business
		err = c.send(out.b, cap(out.b))
	}
	c.server.outputs.put(out)
	switch {
	case stop.err != nil:
		return false, stop.err
	case err != nil:
		return false, err
	case stop.needsRoom > 0:
		return true, c.out.awaitRoom(stop.needsRoom)
	}
	if stop.more {
		runtime.Gosched() // who sends much lets the others have their pass
	}
	return stop.more, nil
}

// send is output.send of the read loop: what that holds in the meantime, its
// read buffer and those bytes, counts as unread.
func (c *conn) send(frames []byte, bufferBytes int) error {
	n := c.in.borrowedBytes() + bufferBytes
	c.out.hold(n)
	defer c.out.hold(-n)
	return c.out.send(frames)
}

// whyEnding says why an export ends when ending is closed.
func (c *conn) whyEnding() error {
	if c.server.isStopping() {
		return errStopping
	}
	return errEnding
}

// finish answers what was accepted, sends the last frame, if there is one, and lets
// the client read it. The time for it is Limits.Close, or Shutdown's.
func (c *conn) finish(reason error, last []byte) {
	close(c.ending)
	c.streams.running.Wait()
	var patience <-chan time.Time
	if !c.server.isStopping() {
		timer := time.NewTimer(c.server.options.Limits.Close)
		defer timer.Stop()
		patience = timer.C
	}
	c.out.drain(patience)
	if c.out.send(last) == nil && !errors.Is(reason, io.EOF) {
		linger(c.nc, c.server.options.Now())
	}
}

// farewell returns the error frame that tells why the server ends the connection,
// if it is not the client that did, or that was told already.
func farewell(reason error) []byte {
	for _, told := range []error{errStopping, errIdle, errSlowFrame, errNoMemory} {
		if errors.Is(reason, told) {
			return appendError(nil, wire.ConnectionID, wire.Unavailable, told.Error())
		}
	}
	return nil
}

// linger tells the client that nothing will follow and drops what it still sends.
func linger(nc net.Conn, now time.Time) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if nc.SetReadDeadline(now.Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, nc, lingerBytes)
	}
}

// appendError appends the frame of an error reply.
func appendError(dst []byte, id uint32, code wire.Code, message string) []byte {
	return wire.AppendReply(dst, code, id, &wire.ErrorReply{Message: message})
}
