package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/kithgraph/kith/wire"
)

// pool holds the connections that calls can use. Each is kept by a link, which
// makes it again when it is lost.
type pool struct {
	next atomic.Uint32
	// live is replaced as a whole, so that taking a connection takes no lock.
	live atomic.Pointer[[]*conn]

	mu struct {
		sync.Mutex
		changed chan struct{} // closed and replaced when a link succeeds, fails or the pool closes
		lastErr error         // of the latest attempt to connect, nil after a success
		closed  bool
	}
}

func newPool() *pool {
	p := &pool{}
	p.live.Store(&[]*conn{})
	p.mu.changed = make(chan struct{})
	return p
}

// get returns the next connection in turn. While there is none it waits.
func (p *pool) get(l limit) (*conn, *Error) {
	for {
		if live := *p.live.Load(); len(live) > 0 {
			return live[p.next.Add(1)%uint32(len(live))], nil
		}
		changed, err := p.idle()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return nil, p.unreachable(endOf(l.ctx))
		case <-l.timer:
			return nil, p.unreachable(endOf(l.ctx))
		}
	}
}

// importRows returns how many rows a server takes in one import.
func (p *pool) importRows() int {
	rows := wire.MaxImportRows
	for _, cn := range *p.live.Load() {
		rows = min(rows, int(cn.hello.MaxImportRows))
	}
	return rows
}

// idle is asked when there is no connection: it returns what to wait for, or the
// error that waiting will not cure.
func (p *pool) idle() (<-chan struct{}, *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return nil, unavailable("", ErrClosed)
	}
	var refused *Error
	if errors.As(p.mu.lastErr, &refused) && !SafeToRetry(refused) {
		return nil, refused
	}
	return p.mu.changed, nil
}

func (p *pool) unreachable(end error) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return unavailable("no connection", errors.Join(p.mu.lastErr, end))
}

// add puts a connection in. False: the pool is closed.
func (p *pool) add(cn *conn) bool {
	return p.update(nil, func(live []*conn) []*conn { return append(live, cn) })
}

// remove takes out a connection that ended with err.
func (p *pool) remove(cn *conn, err error) {
	p.update(err, func(live []*conn) []*conn {
		kept := live[:0]
		for _, other := range live {
			if other != cn {
				kept = append(kept, other)
			}
		}
		return kept
	})
}

// refused notes a failed attempt to connect.
func (p *pool) refused(err error) {
	p.update(err, func(live []*conn) []*conn { return live })
}

// update changes a copy of live and wakes those who wait.
func (p *pool) update(lastErr error, change func([]*conn) []*conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false
	}
	live := change(append([]*conn(nil), *p.live.Load()...))
	p.live.Store(&live)
	p.mu.lastErr = lastErr
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
	return true
}

// close empties the pool for good and returns the connections that were in it.
func (p *pool) close() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return nil
	}
	p.mu.closed = true
	live := *p.live.Load()
	p.live.Store(&[]*conn{})
	close(p.mu.changed)
	return live
}

// keepLink keeps one connection of the pool up until the client is closed.
// number says which address it tries first, cn is a connection that is in the pool
// already, or nil.
func (c *core) keepLink(number int, cn *conn) {
	failures := 0
	for c.ctx.Err() == nil {
		addr := c.options.Addrs[number%len(c.options.Addrs)]
		if cn == nil {
			var err error
			if cn, err = c.connect(c.ctx, addr); err != nil {
				c.pool.refused(err)
				number++
				failures++
				c.options.Logger.Warn("cannot connect", "addr", addr, "attempt", failures, "error", err)
				c.sleep(failures)
				continue
			}
			if !c.pool.add(cn) {
				cn.fail(ErrClosed)
			}
		}
		if failures = c.serve(cn, failures); failures > 0 {
			number++
			c.sleep(failures)
		}
		cn = nil
	}
}

// serve runs a connection of the pool until it ends, and returns the new number
// of failures in a row: one that answered nothing counts as one more.
func (c *core) serve(cn *conn, failures int) int {
	c.options.Logger.Debug("connected", "addr", cn.addr, "node", cn.hello.NodeID)
	err := cn.run()
	if c.ctx.Err() == nil {
		c.options.Logger.Warn("connection lost", "addr", cn.addr, "node", cn.hello.NodeID, "error", err)
	}
	if cn.frames.Load() > 0 {
		return 0
	}
	return failures + 1
}

// sleep waits between two attempts to connect, or until the client is closed.
func (c *core) sleep(failures int) {
	_ = limit{ctx: context.Background()}.pause(c, failures)
}
