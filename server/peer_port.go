package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/kithgraph/kith/shard"
)

// peerHandler carries out what proved nodes ask for.
type peerHandler interface {
	// handleDeliver is peers.Deliver for a shard that this node leads; to is what the
	// peer sent, unchecked. It must not block.
	handleDeliver(to shard.ID, payload []byte, done func(applied uint64, err error))
}

// peerPortOptions is what a peer port is made of. logger must not be nil; limits
// have their defaults filled in.
type peerPortOptions struct {
	listener net.Listener
	identity portIdentity
	handler  peerHandler
	limits   PeerLimits
	now      func() time.Time
	random   io.Reader
	logger   *slog.Logger
	// ended is called when the listener fails for good before close.
	ended func(error)
}

// peerPort accepts the other nodes of the cluster. Each connection has two
// goroutines, one that reads requests and one that writes answers; a connection
// that has not proved itself has one, and no more memory than its opening needs.
type peerPort struct {
	peerPortOptions
	rare     rareLog
	memory   *budget
	inputs   bufferPool
	outputs  bufferPool
	stopping chan struct{}
	running  sync.WaitGroup // the accept loop and each connection

	mu struct {
		sync.Mutex
		closed   bool
		unproven []*portConn            // oldest first
		proven   map[string][]*portConn // by node id, oldest first
		count    int                    // of proven
	}
}

// startPeerPort begins to accept peers. It takes the listener over.
func startPeerPort(o peerPortOptions) *peerPort {
	p := &peerPort{
		peerPortOptions: o,
		rare:            rareLog{log: o.logger, now: o.now},
		memory:          newBudget(o.limits.MemoryBytes),
		inputs:          bufferPool{sizeBytes: portBufferBytes, keepBytes: portBufferBytes},
		outputs:         bufferPool{sizeBytes: 1 << 10, keepBytes: portBufferBytes},
		stopping:        make(chan struct{}),
	}
	p.mu.proven = make(map[string][]*portConn)
	p.running.Go(func() {
		if err := acceptAll(p.listener, p.stopping, p.logger, p.admit); err != nil {
			p.ended(err)
		}
	})
	return p
}

// close ends all connections and waits for their goroutines. Requests that the
// handler has not decided yet are never answered.
func (p *peerPort) close() error {
	p.mu.Lock()
	p.mu.closed = true
	open := slices.Clone(p.mu.unproven)
	for _, conns := range p.mu.proven {
		open = append(open, conns...)
	}
	p.mu.Unlock()
	close(p.stopping)
	err := p.listener.Close()
	for _, c := range open {
		c.out.kill(errStopping)
	}
	p.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// admit starts the opening of a connection.
func (p *peerPort) admit(nc net.Conn) {
	c := newPortConn(p, nc)
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		nc.Close()
		return
	}
	var crowded *portConn
	if len(p.mu.unproven) >= p.limits.PendingProofs {
		crowded = p.mu.unproven[0]
		p.mu.unproven = slices.Delete(p.mu.unproven, 0, 1)
	}
	p.mu.unproven = append(p.mu.unproven, c)
	p.mu.Unlock()
	if crowded != nil {
		crowded.out.kill(errPortCrowded)
	}
	p.running.Go(func() {
		err := c.serve()
		p.remove(c)
		p.report(c, err)
	})
}

// prove gives a connection that proved itself as a node's its place among those.
func (p *peerPort) prove(c *portConn, nodeID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.mu.unproven, c)
	if i < 0 || p.mu.closed {
		return errPortCrowded // killed by admit or close meanwhile, which gave the reason
	}
	conns := p.mu.proven[nodeID]
	switch {
	case len(conns) >= p.limits.ConnectionsPerNode:
		c.replaces, conns = conns[0], conns[1:]
	case p.mu.count >= p.limits.Connections:
		return errPortFull
	default:
		p.mu.count++
	}
	p.mu.unproven = slices.Delete(p.mu.unproven, i, i+1)
	p.mu.proven[nodeID] = append(slices.Clone(conns), c)
	c.nodeID = nodeID
	return nil
}

// remove forgets a connection that has ended.
func (p *peerPort) remove(c *portConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.mu.unproven, c); i >= 0 {
		p.mu.unproven = slices.Delete(p.mu.unproven, i, i+1)
		return
	}
	conns := p.mu.proven[c.nodeID]
	i := slices.Index(conns, c)
	if i < 0 {
		return // replaced, and its place taken
	}
	p.mu.count--
	if conns = slices.Delete(conns, i, i+1); len(conns) == 0 {
		delete(p.mu.proven, c.nodeID)
	} else {
		p.mu.proven[c.nodeID] = conns
	}
}

// report logs why a connection ended. Strangers can make that happen as often as
// they like, so it is rate bounded.
func (p *peerPort) report(c *portConn, reason error) {
	switch {
	case errors.Is(reason, errStopping):
	case c.nodeID != "" && errors.Is(reason, io.EOF):
		p.logger.Debug("a peer closed its connection", "peer", c.nodeID, "from", c.nc.RemoteAddr())
	case c.nodeID != "":
		p.rare.warn("closed the connection of a peer", "peer", c.nodeID, "from", c.nc.RemoteAddr(), "reason", reason)
	default:
		p.rare.warn("refused a connection on the peer port", "from", c.nc.RemoteAddr(), "reason", reason)
	}
}

// connections tells how many connections are open.
func (p *peerPort) connections() (unproven, proven int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.unproven), p.mu.count
}
