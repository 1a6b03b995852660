package client

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/kithgraph/kith/wire"
)

const (
	defaultExportWindow = 8
	maxExportWindow     = 64
)

// Edge is one follow.
type Edge struct {
	Follower, Followee string
	// Time is in seconds since 1970 UTC.
	Time uint32
}

// ExportOptions say where an export begins and how far ahead it reads.
type ExportOptions struct {
	// Start is the zero value, or the last position that Progress was told.
	Start wire.ExportPosition
	// Window is how many frames the server may be ahead of the loop, 1 to 64: memory
	// up to that many times wire.DefaultMaxFrameBytes. Default 8.
	Window int
	// Progress is called with the position behind the edges yielded so far, after
	// every frame. Default: not called.
	Progress func(wire.ExportPosition)
}

// Export walks all follows of the cluster, by follower. A stream that is lost, or
// brings no frame in CallTimeout, is replaced and the walk goes on where it was. It
// gives up when ctx ends or, without a deadline, CallTimeout after the last frame. An error is the last
// thing yielded. The walk is not a snapshot: a follow that comes or goes while it
// runs may be seen or not.
func (c *Client) Export(ctx context.Context, o ExportOptions) iter.Seq2[Edge, error] {
	return func(yield func(Edge, error) bool) {
		if o.Window < 0 || o.Window > maxExportWindow {
			yield(Edge{}, badRequest("a window of %d frames; at most %d", o.Window, maxExportWindow))
			return
		}
		if o.Window == 0 {
			o.Window = defaultExportWindow
		}
		e := &export{client: c, options: o, next: o.Start, yield: yield}
		if err := e.run(ctx); err != nil {
			yield(Edge{}, err)
		}
	}
}

// export is one walk, over as many streams as it takes.
type export struct {
	client  *Client
	options ExportOptions
	next    wire.ExportPosition
	yield   func(Edge, error) bool
	reply   wire.ExportReply
	stall   *time.Timer // ends the wait for a frame, and with it a stream
	done    bool        // all yielded, or the loop was left
}

// run makes streams until one gets to the end. Each frame starts the patience
// anew, and a stream that brings one the backoff.
func (e *export) run(ctx context.Context) error {
	core := e.client.core
	cl := core.newCall(wire.TypeExport, false)
	defer core.release(cl)
	e.stall = time.NewTimer(core.options.CallTimeout)
	defer e.stall.Stop()
	l := core.limitOf(ctx, cl)
	for attempt := 1; ; attempt++ {
		progress, err := e.attempt(l, cl)
		if err == nil {
			return nil
		}
		if progress {
			attempt = 1
		}
		if !core.again(cl, err, attempt) {
			return err
		}
		if end := l.pause(core, attempt); end != nil {
			return err.withCause(end)
		}
	}
}

// attempt opens one stream and yields what it brings. progress: at least one frame.
func (e *export) attempt(l limit, cl *call) (progress bool, err *Error) {
	core := e.client.core
	request := wire.ExportRequest{Flags: e.client.call.readFlags(), Credits: uint32(e.options.Window), Start: e.next}
	cl.body = request.Append(cl.body[:0])
	cl.stream = newStream(e.options.Window)
	cn, err := core.pool.get(l)
	if err != nil {
		return false, err
	}
	if err = cn.send(l, cl); err != nil {
		return false, err
	}
	defer e.leave(cn, cl)
	granted := e.options.Window
	for !e.done {
		e.stall.Reset(core.options.CallTimeout)
		f, err := cl.stream.receive(l, e.stall.C)
		if err != nil {
			return progress, err
		}
		if f.code != wire.OK {
			return progress, replyError(f.code, f.body)
		}
		if err := e.reply.Decode(f.body); err != nil {
			return progress, cl.badReply("%v", err)
		}
		e.take(f.more)
		progress = true
		l = core.limitOf(l.ctx, cl)
		if granted--; f.more && !e.done && granted <= e.options.Window/2 {
			credit := wire.Credit{Credits: uint32(e.options.Window - granted)}
			cn.sendControl(wire.TypeCredit, cl.id, credit.Append(nil))
			granted = e.options.Window
		}
	}
	return progress, nil
}

// leave forgets the stream; one that still runs is cancelled.
func (e *export) leave(cn *conn, cl *call) {
	if cn.abandon(cl) {
		cn.sendControl(wire.TypeCancel, cl.id, nil)
	}
}

// take yields the rows of the frame in reply and moves on behind it.
func (e *export) take(more bool) {
	size := 0
	rows := e.reply.Rows
	newFollower := func(i int) bool { return i == 0 || !bytes.Equal(rows[i].Follower, rows[i-1].Follower) }
	for i := range rows {
		if size += len(rows[i].Followee); newFollower(i) {
			size += len(rows[i].Follower)
		}
	}
	var text textArena
	text.Grow(size)
	follower := ""
	for i := range rows {
		if newFollower(i) {
			follower = text.add(rows[i].Follower)
		}
		if !e.yield(Edge{follower, text.add(rows[i].Followee), rows[i].Time}, nil) {
			e.done = true
			return
		}
	}
	e.next = e.reply.Next
	e.done = !more
	if e.options.Progress != nil {
		e.options.Progress(e.next)
	}
}
