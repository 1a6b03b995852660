package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/kithgraph/kith/shard"
)

// remotePeersOptions is what remotePeers is made of. logger must not be nil;
// limits have their defaults filled in.
type remotePeersOptions struct {
	// leader tells where the leader of a shard is; here means this node. It must not
	// block.
	leader func(to shard.ID) (at peerAddress, here bool, err error)
	// local serves the shards that this node leads.
	local    peers
	dial     func(ctx context.Context, address string) (net.Conn, error)
	identity portIdentity
	limits   PeerLimits
	now      func() time.Time
	random   io.Reader // safe for concurrent use
	logger   *slog.Logger
}

// remotePeers reaches the leaders of shards on this node and on others, with one
// link, and so at most one connection, for each other node. Safe for concurrent
// use.
type remotePeers struct {
	remotePeersOptions
	dialer  *portDialer
	running sync.WaitGroup // a goroutine for each link

	mu struct {
		sync.Mutex
		closed bool
		links  map[string]*peerLink // by node id, or by address where that is empty
	}
}

func newRemotePeers(o remotePeersOptions) *remotePeers {
	r := &remotePeers{remotePeersOptions: o, dialer: &portDialer{
		dial: o.dial, identity: o.identity, limits: o.limits, now: o.now, random: o.random,
		rare:   rareLog{log: o.logger, now: o.now},
		memory: newBudget(o.limits.MemoryBytes),
		inputs: bufferPool{sizeBytes: portBufferBytes, keepBytes: portBufferBytes},
	}}
	r.mu.links = make(map[string]*peerLink)
	return r
}

// Deliver implements peers. done is called exactly once, unless the shard is led
// here, where local decides.
func (r *remotePeers) Deliver(to shard.ID, payload []byte, done func(applied uint64, err error)) {
	at, here, err := r.leader(to)
	if err != nil {
		done(0, err)
		return
	}
	if here {
		r.local.Deliver(to, payload, done)
		return
	}
	link, err := r.link(at)
	if err != nil {
		done(0, err)
		return
	}
	link.call(&linkCall{to: to, payload: payload, done: done})
}

// link returns the link to a node, or makes it. A node that has moved gets a new
// one; the calls of the old one fail.
func (r *remotePeers) link(at peerAddress) (*peerLink, error) {
	key := at.NodeID
	if key == "" {
		key = at.Address
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.mu.links[key]
	switch {
	case r.mu.closed:
		return nil, errClosing
	case l != nil && l.node == at:
		return l, nil
	case l != nil:
		l.close()
	case len(r.mu.links) >= r.limits.Connections:
		return nil, errPortTooManyNode
	}
	l = newPeerLink(r.dialer, at, &r.running)
	r.mu.links[key] = l
	return l, nil
}

// close fails what waits, ends all connections and waits for all goroutines.
func (r *remotePeers) close() {
	r.mu.Lock()
	r.mu.closed = true
	for _, l := range r.mu.links {
		l.close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
