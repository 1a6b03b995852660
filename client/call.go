package client

import (
	"context"
	"time"

	"github.com/kithgraph/kith/wire"
)

// call is one request and the wait for its answer. It is used by one caller at
// a time and pooled; a connection may touch it only while one of its slots holds
// it or, after taking it out of the slot, until it has sent on done.
type call struct {
	typ   wire.Type
	write bool // must not be repeated once it may have been carried out
	body  []byte
	// stream, when not nil, takes the answer's frames instead of reply.
	stream *stream

	// Set by the connection before it sends on done.
	code  wire.Code
	reply []byte
	err   error // the connection failed
	sent  bool  // with err: the server may have seen the request
	done  chan struct{}

	// Set by the sender: where the request is under way.
	conn *conn
	id   uint32

	timer *time.Timer
	// Scratch of the typed calls, reused.
	arena []byte
	ids   [][]byte
	edge  wire.EdgeReply
	check wire.CheckReply
	info  wire.InfoReply
	list  wire.ListReply
	rows  wire.ImportReply
}

// limit is what ends a wait early: the caller's context, or the default timeout
// where that has no deadline.
type limit struct {
	ctx   context.Context
	timer <-chan time.Time
}

// newCall takes a call from the pool. The caller releases it.
func (c *core) newCall(typ wire.Type, write bool) *call {
	cl, ok := c.calls.Get().(*call)
	if !ok {
		cl = &call{done: make(chan struct{}, 1), timer: time.NewTimer(c.options.CallTimeout)}
		cl.timer.Stop()
	}
	cl.typ, cl.write = typ, write
	return cl
}

// release gives a call back that no connection holds any more.
func (c *core) release(cl *call) {
	cl.timer.Stop()
	cl.stream, cl.conn, cl.err = nil, nil, nil
	cl.arena, cl.ids = cl.arena[:0], cl.ids[:0]
	if max(cap(cl.body), cap(cl.reply), cap(cl.arena)) > maxKeptBufferBytes {
		return
	}
	c.calls.Put(cl)
}

// limitOf returns what ends the call: ctx, or the default timeout, which begins now.
func (c *core) limitOf(ctx context.Context, cl *call) limit {
	if _, ok := ctx.Deadline(); ok {
		return limit{ctx: ctx}
	}
	cl.timer.Reset(c.options.CallTimeout)
	return limit{ctx: ctx, timer: cl.timer.C}
}

// bytes copies a string into the call's arena. Growing the arena leaves earlier
// copies where they are.
func (cl *call) bytes(s string) []byte {
	start := len(cl.arena)
	cl.arena = append(cl.arena, s...)
	return cl.arena[start:len(cl.arena):len(cl.arena)]
}

func (cl *call) idList(ids []string) [][]byte {
	for _, id := range ids {
		cl.ids = append(cl.ids, cl.bytes(id))
	}
	return cl.ids
}

// do makes the call: it waits for a connection, sends the request, waits for the
// answer, and repeats that where it is known to be harmless, until the answer is
// ok, final, or the time is up.
func (c *core) do(ctx context.Context, cl *call) error {
	if ctx.Err() != nil {
		return unavailable("not sent", ctx.Err())
	}
	l := c.limitOf(ctx, cl)
	for attempt := 1; ; attempt++ {
		err := c.attempt(l, cl)
		if err == nil {
			return nil
		}
		if !c.again(cl, err, attempt) {
			return err
		}
		if end := l.pause(c, attempt); end != nil {
			return err.withCause(end)
		}
	}
}

// exchange makes the call and decodes its answer.
func (c *core) exchange(ctx context.Context, cl *call, reply wire.Message) error {
	if err := c.do(ctx, cl); err != nil {
		return err
	}
	if err := reply.Decode(cl.reply); err != nil {
		return cl.badReply("%v", err)
	}
	return nil
}

// exchangeEach is exchange for an answer that has, in results, one for each of n
// parts of the request.
func exchangeEach[R any](ctx context.Context, c *core, cl *call, reply wire.Message, results *[]R, n int) error {
	if err := c.exchange(ctx, cl, reply); err != nil {
		return err
	}
	if len(*results) != n {
		return cl.badReply("%d results to a request of %d", len(*results), n)
	}
	return nil
}

// attempt sends the request once.
func (c *core) attempt(l limit, cl *call) *Error {
	cn, err := c.pool.get(l)
	if err != nil {
		return err
	}
	return cn.roundTrip(l, cl)
}

// again decides whether a failed attempt is followed by another. The error says
// so by its code: unavailable and not_leader mean that nothing was done. After a
// timeout of the server, or a connection lost with the request under way, reads
// are repeated and writes are left to the caller (see the package comment).
func (c *core) again(cl *call, err *Error, attempt int) bool {
	if c.options.MaxAttempts > 0 && attempt >= c.options.MaxAttempts || err.final() {
		return false
	}
	return err.Code.SafeToRetry() && (!cl.write || err.Code != wire.Timeout)
}

// pause waits before the next attempt and returns nil, or why the time is up.
func (l limit) pause(c *core, failures int) error {
	timer := time.NewTimer(c.options.backoff(failures))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.ctx.Done():
	case <-l.timer:
	case <-c.ctx.Done():
		return ErrClosed
	}
	return endOf(l.ctx)
}

// result turns what the connection left in the call into nil or an error.
func (cl *call) result() *Error {
	switch {
	case cl.err != nil && cl.sent && cl.write:
		return unknownOutcome("the request may or may not have been carried out", cl.err)
	case cl.err != nil:
		return unavailable("", cl.err)
	case cl.code == wire.OK:
		return nil
	}
	return replyError(cl.code, cl.reply)
}

// replyError decodes the answer to a request that was refused.
func replyError(code wire.Code, body []byte) *Error {
	var reply wire.ErrorReply
	if err := reply.Decode(body); err != nil {
		return &Error{Code: code, cause: protocolError("error reply: %v", err)}
	}
	return &Error{Code: code, Message: reply.Message, Leader: reply.Leader}
}

// badReply gives up the connection that brought an answer which cannot be
// decoded, or which does not fit the request.
func (cl *call) badReply(format string, args ...any) *Error {
	err := protocolError(format, args...)
	cl.conn.fail(err)
	if cl.write {
		return unknownOutcome("", err)
	}
	return unavailable("", err)
}
