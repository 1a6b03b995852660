package client

import (
	"context"
	"sync"

	"github.com/kithgraph/kith/wire"
)

// Client makes calls to a cluster. It is safe for concurrent use; share one. All
// clients that With returns use the same connections.
type Client struct {
	core *core
	call CallOptions
}

// core is what a Client and all that With makes of it have in common.
type core struct {
	options Options
	pool    *pool
	calls   sync.Pool // of *call

	// ctx ends when the client is closed.
	ctx    context.Context
	cancel context.CancelFunc

	mu struct {
		sync.Mutex
		closed bool
	}
	goroutines sync.WaitGroup // started by start
}

// Dial connects to a cluster. It returns once the first connection is made; with
// no node to be reached, or wrong credentials, it returns an *Error at once and
// leaves nothing running. Afterwards connections that are lost are made again for
// as long as the client is open. ctx bounds Dial alone.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := &core{options: o.withDefaults(), pool: newPool()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	first, number, err := c.connectAny(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.pool.add(first)
	for i := range c.options.Connections {
		cn := first
		if i > 0 {
			cn = nil
		}
		c.start(func() { c.keepLink(number+i, cn) })
	}
	return &Client{core: c}, nil
}

// With returns a client that makes its calls in another manner over the same
// connections. Closing either closes both.
func (c *Client) With(o CallOptions) *Client { return &Client{core: c.core, call: o} }

// Close ends all connections and waits for all goroutines of the client. Calls
// that wait for an answer fail with ErrClosed. It always returns nil.
func (c *Client) Close() error {
	c.core.mu.Lock()
	c.core.mu.closed = true
	c.core.mu.Unlock()
	c.core.cancel()
	for _, cn := range c.core.pool.close() {
		cn.fail(ErrClosed)
	}
	c.core.goroutines.Wait()
	return nil
}

// start runs f on a goroutine that Close waits for. False: the client is closed.
func (c *core) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return false
	}
	c.goroutines.Go(f)
	return true
}

// Ping asks a node whether it is there.
func (c *Client) Ping(ctx context.Context) error {
	cl := c.core.newCall(wire.TypePing, false)
	defer c.core.release(cl)
	cl.body = cl.body[:0]
	return c.core.do(ctx, cl)
}

// Status tells how the node is that a connection leads to.
func (c *Client) Status(ctx context.Context) (*wire.Status, error) {
	cl := c.core.newCall(wire.TypeStatus, false)
	defer c.core.release(cl)
	cl.body = cl.body[:0]
	status := new(wire.Status)
	if err := c.core.exchange(ctx, cl, status); err != nil {
		return nil, err
	}
	return status, nil
}

// readFlags are the flags of read requests.
func (o CallOptions) readFlags() uint8 {
	switch o.Consistency {
	case Consistent:
		return wire.ReadConsistent
	case Stale:
		return wire.ReadStale
	}
	return wire.ReadDefault
}

// writeFlags are the flags of write requests.
func (o CallOptions) writeFlags() uint8 {
	if o.NoWait {
		return wire.FlagNoWait
	}
	return 0
}
