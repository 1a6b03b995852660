package client

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/kithgraph/kith/wire"
)

// Requests are put into the connection's queue by their callers. The caller that
// finds nobody flushing becomes the flusher, yields the processor once, so that
// the other callers that are ready to run can queue theirs, and writes all with
// one system call. What has queued up meanwhile it leaves to writeLoop when its
// own answer has come. No caller is held up by a server that does not read: a
// write that does not get through in leaderWriteLimit is finished by writeLoop.

const (
	// leaderWriteLimit is how long a caller writes for others before writeLoop takes over.
	leaderWriteLimit = 5 * time.Millisecond
	// maxLeaderWrites is how many writes a caller makes at most.
	maxLeaderWrites = 4
)

// send queues the call's request, waiting for a slot and for room in the queue,
// and flushes if nobody else does.
func (cn *conn) send(l limit, cl *call) *Error {
	size := wire.HeaderBytes + len(cl.body)
	if len(cl.body) > int(cn.hello.MaxFrameBytes) {
		return badRequest("a request of %d bytes; at most %d", len(cl.body), cn.hello.MaxFrameBytes)
	}
	for {
		cn.mu.Lock()
		if err := cn.mu.failed; err != nil {
			cn.mu.Unlock()
			return unavailable("", err)
		}
		full := cn.mu.slots.full()
		if !full && (len(cn.mu.out) == 0 || len(cn.mu.out)+size <= maxQueuedBytes) {
			break
		}
		sick := full && cn.mu.slots.sick()
		room := cn.waitForRoom()
		cn.mu.Unlock()
		if sick {
			cn.fail(fmt.Errorf("%w: most requests under way got no answer in time", ErrConnectionLost))
			continue
		}
		select {
		case <-room:
		case <-l.ctx.Done():
			return unavailable("too many requests under way", endOf(l.ctx))
		case <-l.timer:
			return unavailable("too many requests under way", endOf(l.ctx))
		}
	}
	cl.conn, cl.id = cn, cn.mu.slots.take(cl, cn.mu.queued+uint64(size))
	lead := cn.queue(cl.typ, cl.id, cl.body)
	cn.mu.Unlock()
	if lead {
		cn.lead(cl.done)
	}
	return nil
}

// sendControl queues a frame that has no answer of its own: credit or cancel for
// a request under way. There is at most one for each frame received.
func (cn *conn) sendControl(typ wire.Type, id uint32, body []byte) {
	cn.mu.Lock()
	if cn.mu.failed != nil || cn.mu.slots.find(id) == nil {
		cn.mu.Unlock()
		return
	}
	lead := cn.queue(typ, id, body)
	cn.mu.Unlock()
	if lead {
		cn.lead(nil)
	}
}

// waitForRoom returns the channel that is closed when there is room. mu is held.
func (cn *conn) waitForRoom() <-chan struct{} {
	if cn.mu.room == nil {
		cn.mu.room = make(chan struct{})
	}
	return cn.mu.room
}

// queue appends a frame and reports whether the caller is to flush. mu is held.
func (cn *conn) queue(typ wire.Type, id uint32, body []byte) (lead bool) {
	start := len(cn.mu.out)
	cn.mu.out = append(wire.BeginRequest(cn.mu.out, typ, id), body...)
	cn.mu.out = wire.EndFrame(cn.mu.out, start)
	cn.mu.queued += uint64(len(cn.mu.out) - start)
	lead = !cn.mu.flushing
	cn.mu.flushing = true
	return lead
}

// takeQueued takes all that is queued, to be written. Empty: there is nothing,
// and the caller is no longer the flusher. written is what was taken before.
func (cn *conn) takeQueued(written []byte) []byte {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if written != nil && cap(written) <= maxKeptBufferBytes {
		cn.mu.spare = written[:0]
	}
	out := cn.mu.out
	if len(out) == 0 {
		cn.mu.flushing = false
		return nil
	}
	cn.mu.out, cn.mu.spare = cn.mu.spare, nil
	cn.mu.taken = cn.mu.queued
	cn.signalRoom()
	return out
}

// lead is called by the caller that has become the flusher. done has something
// in it when the caller's own answer is there.
func (cn *conn) lead(done <-chan struct{}) {
	if !cn.leaderWrites {
		cn.wake <- struct{}{}
		return
	}
	runtime.Gosched()
	var out []byte
	for n := 0; n < maxLeaderWrites && len(done) == 0; n++ {
		if out = cn.takeQueued(out); out == nil {
			return
		}
		cn.guard.Reset(leaderWriteLimit)
		written, err := cn.nc.Write(out)
		cn.guard.Stop()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			cn.rest = out[written:]
			break
		}
		if err != nil {
			cn.writeFailed(err, len(out)-written)
			return
		}
	}
	cn.wake <- struct{}{}
}

// interruptWrite makes a caller's write return. It may come a moment late and
// then disturbs the next write, whose rest writeLoop writes just as well.
func (cn *conn) interruptWrite() { _ = cn.nc.SetWriteDeadline(time.Unix(1, 0)) }

// writeLoop flushes whatever callers leave to it.
func (cn *conn) writeLoop() {
	for {
		select {
		case <-cn.wake:
		case <-cn.dead:
			return
		}
		out := cn.rest
		cn.rest = nil
		for {
			if unwritten, err := cn.writeAll(out); err != nil {
				cn.writeFailed(err, unwritten)
				return
			}
			runtime.Gosched()
			if out = cn.takeQueued(out); out == nil {
				break
			}
		}
	}
}

// writeAll writes out, however long it takes: keepAlive ends it by closing the
// connection. With an error it returns how much was not written.
func (cn *conn) writeAll(out []byte) (unwritten int, err error) {
	if cn.leaderWrites {
		_ = cn.nc.SetWriteDeadline(time.Time{})
	}
	for len(out) > 0 {
		n, err := cn.nc.Write(out)
		if out = out[n:]; err == nil {
			continue
		}
		if !cn.leaderWrites || !errors.Is(err, os.ErrDeadlineExceeded) {
			return len(out), err
		}
		_ = cn.nc.SetWriteDeadline(time.Time{})
	}
	return 0, nil
}

// writeFailed ends the connection. The requests in the last bytes taken, which
// were not written, were surely not carried out.
func (cn *conn) writeFailed(err error, unwritten int) {
	cn.mu.Lock()
	cn.mu.taken -= uint64(unwritten)
	cn.mu.Unlock()
	cn.fail(fmt.Errorf("%w: writing: %w", ErrConnectionLost, err))
}
