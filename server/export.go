package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

const (
	// exportEdges is how many follows one frame of an export is made of at most.
	exportEdges = 1024
	// exportScan is how many users are looked at under one read lock.
	exportScan = 2048
	// exportFrameBytes is the size at which a frame is closed, short of the last row.
	exportFrameBytes = 64 << 10
	// exportRowBytes is what a row takes besides its ids: two lengths of ids, the
	// length of a group, the time.
	exportRowBytes = 2 + 2 + 2 + 4
)

// streams are the exports of a connection.
type streams struct {
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[uint32]*export // by request id
}

// export streams all follows, shard by shard and user by user, to a client that
// gives it credits. It has a goroutine; its memory is borrowed for the time of
// making a frame and holds no lock while it waits or writes.
type export struct {
	conn  *conn
	id    uint32
	level uint8
	at    wire.ExportPosition // the goroutine's own

	wake chan struct{} // one slot: look at mu again
	mu   struct {
		sync.Mutex
		credits   uint32
		cancelled bool
	}
}

// export starts a stream. It is not counted in flight, where it could keep a
// request from being read and thereby its own credit, but has limits of its own.
func (p *pass) export(id uint32, body []byte) {
	var m wire.ExportRequest
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return
	}
	if !m.Start.Done() && int(m.Start.Shard) >= p.server.layout.Shards() {
		p.refuse(id, wire.BadRequest, "export: not a position of this cluster")
		return
	}
	e := &export{conn: p.conn, id: id, level: m.Flags & wire.ReadMask, at: m.Start, wake: make(chan struct{}, 1)}
	e.mu.credits = min(m.Credits, wire.MaxCredits)
	if code, message := p.conn.openStream(e); code != wire.OK {
		p.refuse(id, code, message)
	}
}

// openStream runs the export, if the connection and the server may have another one.
func (c *conn) openStream(e *export) (code wire.Code, message string) {
	limits := &c.server.options.Limits
	c.streams.mu.Lock()
	defer c.streams.mu.Unlock()
	switch {
	case c.streams.open[e.id] != nil:
		return wire.BadRequest, fmt.Sprintf("export: request id %d is in use", e.id)
	case len(c.streams.open) >= limits.Exports:
		return wire.Unavailable, fmt.Sprintf("export: at most %d exports on a connection", limits.Exports)
	case c.server.exports.Add(1) > int64(limits.AllExports):
		c.server.exports.Add(-1)
		return wire.Unavailable, fmt.Sprintf("export: at most %d exports at once", limits.AllExports)
	}
	c.streams.open[e.id] = e
	c.streams.running.Go(e.run)
	return wire.OK, ""
}

// stream returns the export of that request id, or nil.
func (c *conn) stream(id uint32) *export {
	c.streams.mu.Lock()
	defer c.streams.mu.Unlock()
	return c.streams.open[id]
}

// streaming tells whether an export is running.
func (c *conn) streaming() bool {
	c.streams.mu.Lock()
	defer c.streams.mu.Unlock()
	return len(c.streams.open) > 0
}

func (p *pass) credit(id uint32, body []byte) passStop {
	var m wire.Credit
	if err := m.Decode(body); err != nil {
		p.refuse(wire.ConnectionID, wire.BadRequest, err.Error())
		return passStop{err: err}
	}
	if e := p.conn.stream(id); e != nil {
		e.mu.Lock()
		e.mu.credits = uint32(min(uint64(e.mu.credits)+uint64(m.Credits), wire.MaxCredits))
		e.mu.Unlock()
		signal(e.wake)
	}
	return passStop{}
}

func (p *pass) cancel(id uint32, body []byte) passStop {
	if err := (&wire.Cancel{}).Decode(body); err != nil {
		p.refuse(wire.ConnectionID, wire.BadRequest, err.Error())
		return passStop{err: err}
	}
	if e := p.conn.stream(id); e != nil {
		e.mu.Lock()
		e.mu.cancelled = true
		e.mu.Unlock()
		signal(e.wake)
	}
	return passStop{}
}

func (e *export) run() {
	last := e.stream()
	e.conn.streams.mu.Lock()
	delete(e.conn.streams.open, e.id)
	e.conn.streams.mu.Unlock()
	e.conn.server.exports.Add(-1)
	// The request id is free when the client sees the last frame, so that is sent
	// when all traces of it are gone.
	_ = e.conn.out.send(last)
}

// stream sends all frames but the last one, which it returns.
func (e *export) stream() (last []byte) {
	if e.level == wire.ReadConsistent {
		if last := e.verify(); last != nil {
			return last
		}
	}
	for !e.at.Done() {
		if cancelled, err := e.awaitCredit(); err != nil {
			return appendError(nil, e.id, wire.Unavailable, err.Error())
		} else if cancelled {
			break
		}
		last, err := e.sendFrame()
		if last != nil || err != nil {
			return last
		}
	}
	return wire.AppendReply(nil, wire.OK, e.id, &wire.ExportReply{Next: e.at})
}

// verify returns the last frame when a shard's leadership cannot be confirmed.
func (e *export) verify() (last []byte) {
	s := e.conn.server
	all := make([]shard.ID, s.layout.Shards())
	for i := range all {
		all[i] = shard.ID(i)
	}
	s.verifyLeaders(all, func(id shard.ID, code wire.Code) {
		last = appendError(nil, e.id, code, fmt.Sprintf("leadership of shard %d could not be confirmed", id))
	})
	return last
}

// awaitCredit waits for a credit and takes it. An error says that the connection
// takes no more requests, or that there was no credit for Limits.Idle: an export
// takes a place among those of the node.
func (e *export) awaitCredit() (cancelled bool, err error) {
	var patience *time.Timer
	for {
		select {
		case <-e.conn.ending:
			return false, e.conn.whyEnding()
		default:
		}
		e.mu.Lock()
		cancelled = e.mu.cancelled
		enough := e.mu.credits > 0
		if enough && !cancelled {
			e.mu.credits--
		}
		e.mu.Unlock()
		if cancelled || enough {
			return cancelled, nil
		}
		if patience == nil {
			patience = time.NewTimer(e.conn.server.options.Limits.Idle)
			defer patience.Stop()
		}
		select {
		case <-e.wake:
		case <-e.conn.ending:
		case <-patience.C:
			return false, errNoCredit
		}
	}
}

// sendFrame makes and sends the next frame, for which there is a credit. When it
// is the last frame, or an error, it is returned instead.
func (e *export) sendFrame() (last []byte, err error) {
	s := e.conn.server
	x := s.exporters.get()
	defer s.exporters.put(x)
	for len(x.reply.Rows) == 0 && !e.at.Done() {
		select {
		case <-e.conn.ending: // long stretches without a row must not delay the end
			return appendError(nil, e.id, wire.Unavailable, e.conn.whyEnding().Error()), nil
		default:
		}
		if refusal := x.gather(&e.at, e.level); refusal.code != wire.OK {
			return wire.AppendReply(nil, refusal.code, e.id, &wire.ErrorReply{Message: refusal.message, Leader: refusal.leader}), nil
		}
	}
	x.reply.Next = e.at
	start := len(x.out)
	x.out = wire.EndFrame(x.reply.Append(wire.BeginReply(x.out, wire.OK, !e.at.Done(), e.id)), start)
	if e.at.Done() {
		return append([]byte(nil), x.out...), nil
	}
	return nil, e.conn.out.send(x.out)
}

// exporter is the scratch in which a frame is made; it is lent by an exporterPool.
type exporter struct {
	server *Server
	edges  []engine.Edge
	owners []uint32 // number of the follower of each edge
	names  [][]byte
	byUser buckets
	reply  wire.ExportReply
	out    []byte
}

type exporterPool struct {
	pool   sync.Pool
	server *Server
}

func (ep *exporterPool) get() *exporter {
	x, ok := ep.pool.Get().(*exporter)
	if !ok {
		x = &exporter{server: ep.server, byUser: newBuckets(ep.server.layout.Shards())}
	}
	x.reply.Rows, x.out = x.reply.Rows[:0], x.out[:0]
	return x
}

func (ep *exporterPool) put(x *exporter) { ep.pool.Put(x) }

// gather fills the reply with the follows from a position on and moves it behind
// them. There may be none although more follow later.
func (x *exporter) gather(at *wire.ExportPosition, level uint8) refusal {
	id := shard.ID(at.Shard)
	if refusal := x.server.refusal(id, level); refusal.code != wire.OK {
		return refusal
	}
	next := x.readEdges(*at)
	x.names = resized(x.names, len(x.edges))
	nameUsers(x.server, x.edges, x.names, &x.byUser)
	size := 0
	group := x.server.groups[id]
	graph := group.RLock()
	defer group.RUnlock()
	for i, edge := range x.edges {
		follower := graph.UserID(x.server.layout.UID(x.owners[i], id))
		if follower == nil || x.names[i] == nil {
			return refusal{code: wire.Unavailable, message: errUnnamed.Error()}
		}
		size += exportRowBytes + len(follower) + len(x.names[i])
		if size > exportFrameBytes && i > 0 {
			next = wire.ExportPosition{Shard: at.Shard, User: x.owners[i-1], Before: uint64(x.edges[i-1].Position())}
			break
		}
		x.reply.Rows = append(x.reply.Rows, wire.ExportRow{Follower: follower, Followee: x.names[i], Time: edge.Time})
	}
	*at = next
	return refusal{}
}

// readEdges collects the follows from a position on and returns the one behind them.
func (x *exporter) readEdges(at wire.ExportPosition) wire.ExportPosition {
	x.edges, x.owners = x.edges[:0], x.owners[:0]
	id := shard.ID(at.Shard)
	group := x.server.groups[id]
	graph := group.RLock()
	defer group.RUnlock()
	users := graph.Users()
	for scanned := 0; at.User < users && scanned < exportScan; scanned++ {
		before := engine.Newest
		if at.Before != 0 {
			before = engine.Position(at.Before)
		}
		x.edges = graph.Page(engine.Following, x.server.layout.UID(at.User, id), before, exportEdges-len(x.edges), x.edges)
		for len(x.owners) < len(x.edges) {
			x.owners = append(x.owners, at.User)
		}
		if len(x.edges) == exportEdges {
			at.Before = uint64(x.edges[exportEdges-1].Position())
			return at
		}
		at.User, at.Before = at.User+1, 0
	}
	if at.User < users {
		return at
	}
	if at.Shard++; int(at.Shard) == x.server.layout.Shards() {
		return wire.ExportEnd()
	}
	return wire.ExportPosition{Shard: at.Shard}
}
