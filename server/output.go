package server

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// output is the sending side of a connection. Three kinds of goroutines send:
// the read loop its own answers, export streams their frames, and the writer
// goroutine (run) what requests that are answered later have left in
// mu.pending. Whoever sends holds the one token, so no mutex is held over I/O.
//
// When the client does not read, the read loop and the streams block on the
// token; pending then grows by no more than the answers of what is in flight. What
// is held meanwhile is counted by unread, which may end the connection for it.
type output struct {
	nc       net.Conn
	now      func() time.Time
	patience time.Duration // for the client to take an answer
	buffers  *bufferPool
	unread   *unreadMemory // nil: not counted
	unreadBy unreader

	maxInFlight      int
	maxInFlightBytes int
	maxPendingBytes  int

	token chan struct{} // one slot: full while somebody sends
	wake  chan struct{} // one slot: there is something pending
	room  chan struct{} // one slot: something in flight was answered; for the read loop
	gone  chan struct{} // closed by kill

	// until is the write deadline that nc has. It belongs to the holder of the token.
	until time.Time

	mu struct {
		sync.Mutex
		pending       *buffer // nil while there is nothing
		inFlight      int
		inFlightBytes int
		reason        error // why gone is closed
	}
}

// lateAnswer is the answer to a request that left the read loop.
type lateAnswer interface {
	// appendAnswer appends whole frames. It is called once, under a mutex.
	appendAnswer(dst []byte) []byte
}

// pieceBytes is how much a client must take within the write deadline. TLS cannot
// go on behind a deadline, so the deadline is moved from piece to piece.
const pieceBytes = 16 << 10

func newOutput(nc net.Conn, s *Server) *output {
	l := &s.options.Limits
	o := &output{
		nc: nc, now: s.options.Now, patience: l.Write, buffers: &s.outputs, unread: s.unread,
		maxInFlight: l.InFlight, maxInFlightBytes: l.InFlightBytes, maxPendingBytes: l.OutputBytes,
		token: make(chan struct{}, 1), wake: make(chan struct{}, 1), room: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	o.unreadBy.end = o.killUnread
	return o
}

// hold counts n more bytes that wait until the client reads.
func (o *output) hold(n int) {
	if o.unread != nil && n != 0 {
		o.unread.hold(&o.unreadBy, n)
	}
}

// run sends late answers until the connection is gone.
func (o *output) run() {
	for {
		select {
		case <-o.gone:
			return
		case <-o.wake:
			o.send(nil)
		}
	}
}

// send writes what is pending and then frames, as one write where there is room.
// It blocks while another sends. After an error the connection is gone.
func (o *output) send(frames []byte) error {
	select {
	case o.token <- struct{}{}:
	case <-o.gone:
		return o.reason()
	}
	defer func() { <-o.token }()
	pending := o.takePending()
	if pending == nil {
		return o.write(frames)
	}
	held := cap(pending.b)
	pending.b = append(pending.b, frames...)
	err := o.write(pending.b)
	o.buffers.put(pending)
	o.hold(-held)
	return err
}

func (o *output) takePending() *buffer {
	o.mu.Lock()
	defer o.mu.Unlock()
	pending := o.mu.pending
	o.mu.pending = nil
	return pending
}

// write sends b. The caller holds the token.
func (o *output) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pieceBytes)
		if err := o.writePiece(b[:n]); err != nil {
			o.kill(err)
			return err
		}
		if b = b[n:]; len(b) > 0 && o.unread != nil {
			o.unread.progress(&o.unreadBy)
		}
	}
	return nil
}

func (o *output) writePiece(b []byte) error {
	// Setting a deadline costs as much as a small request, so it is set a quarter
	// longer than needed and moved only when it has come near.
	if now := o.now(); o.until.Sub(now) < o.patience {
		o.until = now.Add(o.patience + o.patience/4)
		if err := o.nc.SetWriteDeadline(o.until); err != nil {
			return err
		}
	}
	_, err := o.nc.Write(b)
	return err
}

// isFull tells whether more is pending than the connection may hold.
func (o *output) isFull() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.pending != nil && len(o.mu.pending.b) > o.maxPendingBytes
}

// settle blocks while more is pending than the connection may hold.
func (o *output) settle() error {
	if o.isFull() {
		return o.send(nil)
	}
	return nil
}

// admit counts a request of that size as in flight, if the connection may have
// another one. Its answer, or withdraw, ends that.
func (o *output) admit(sizeBytes int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.fits(sizeBytes) {
		return false
	}
	o.mu.inFlight++
	o.mu.inFlightBytes += sizeBytes
	return true
}

// fits tells whether another request may be in flight. The caller holds mu.
func (o *output) fits(sizeBytes int) bool {
	return o.mu.inFlight == 0 || o.mu.inFlight < o.maxInFlight && o.mu.inFlightBytes+sizeBytes <= o.maxInFlightBytes
}

// answer ends an admitted request. It does not block.
func (o *output) answer(sizeBytes int, a lateAnswer) {
	grown := 0
	o.mu.Lock()
	if o.mu.reason == nil {
		if o.mu.pending == nil {
			o.mu.pending = o.buffers.get()
		} else {
			grown = -cap(o.mu.pending.b)
		}
		o.mu.pending.b = a.appendAnswer(o.mu.pending.b)
		grown += cap(o.mu.pending.b)
	}
	o.leave(sizeBytes)
	o.mu.Unlock()
	o.hold(grown)
	signal(o.wake)
	signal(o.room)
}

// withdraw ends an admitted request that was answered in another way.
func (o *output) withdraw(sizeBytes int) {
	o.mu.Lock()
	o.leave(sizeBytes)
	o.mu.Unlock()
	signal(o.room)
}

// leave uncounts a request. The caller holds mu.
func (o *output) leave(sizeBytes int) {
	o.mu.inFlight--
	o.mu.inFlightBytes -= sizeBytes
}

func (o *output) inFlight() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.inFlight
}

// awaitRoom blocks until a request of that size would be admitted. Only the read
// loop calls it, which is the only one to admit.
func (o *output) awaitRoom(sizeBytes int) error {
	for !o.hasRoom(sizeBytes) {
		select {
		case <-o.room:
		case <-o.gone:
			return o.reason()
		}
	}
	return nil
}

func (o *output) hasRoom(sizeBytes int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fits(sizeBytes)
}

// drain blocks until nothing is in flight, the time is over or the connection gone.
func (o *output) drain(patience <-chan time.Time) {
	for o.inFlight() > 0 {
		select {
		case <-o.room:
		case <-patience:
			return
		case <-o.gone:
			return
		}
	}
}

// kill closes the connection at once. The first reason stays.
func (o *output) kill(reason error) {
	if o.fail(reason) {
		o.nc.Close()
	}
}

// killUnread is kill for want of memory. It does not block: the goodbye of TLS,
// which a client that does not read would make it wait for, is left out.
func (o *output) killUnread() {
	if !o.fail(errUnread) {
		return
	}
	nc := o.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	nc.Close()
}

// fail notes why the connection ends, drops what is pending and tells all who
// wait. It returns false when that was done before.
func (o *output) fail(reason error) bool {
	o.mu.Lock()
	if o.mu.reason != nil {
		o.mu.Unlock()
		return false
	}
	o.mu.reason = reason
	dropped := 0
	if o.mu.pending != nil {
		dropped = cap(o.mu.pending.b)
		o.mu.pending = nil
	}
	o.mu.Unlock()
	o.hold(-dropped)
	close(o.gone)
	return true
}

func (o *output) reason() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.reason
}

// signal puts a token into a channel of one slot unless it has one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
