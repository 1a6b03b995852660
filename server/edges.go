package server

import (
	"slices"

	"github.com/kithgraph/kith/wire"
)

// What a write in flight is reckoned to take besides its bytes.
const (
	writeBytes  = 1024 // each edgeWrite on its way through the write side
	targetBytes = 128  // each of its targets
)

// edgeCall is a follow or unfollow of a client that waits for its answer.
type edgeCall struct {
	conn      *conn
	id        uint32
	sizeBytes int
	write     edgeWrite
}

// edge starts a follow or an unfollow, unless too much is in flight.
func (p *pass) edge(t wire.Type, id uint32, body []byte) passStop {
	m := &p.messages.edge
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return passStop{}
	}
	if p.refusesWrite(id) {
		return passStop{}
	}
	size := len(body) + writeBytes + len(m.UserIDs)*targetBytes
	if stop, ok := p.admit(id, size); !ok {
		return stop
	}
	p.cost += len(m.UserIDs)
	// The frame's bytes are overwritten by the next read, so the call gets its own;
	// what was decoded once is decoded again.
	_ = m.Decode(slices.Clone(body))
	call := &edgeCall{conn: p.conn, id: id, sizeBytes: size}
	call.write = edgeWrite{
		Remove: t == wire.TypeUnfollow, Me: m.Me, Targets: slices.Clone(m.UserIDs), NoWait: m.Flags&wire.FlagNoWait != 0,
		Done: call.done,
	}
	p.server.writes.start(&call.write)
	return passStop{}
}

// refusesWrite answers a client's write while the disk has no room for it. What was
// accepted before, and what other shards deliver, goes on.
func (p *pass) refusesWrite(id uint32) bool {
	disk := p.server.disk()
	if disk == nil || disk.Refusal == "" {
		return false
	}
	p.refuse(id, wire.Unavailable, disk.Refusal)
	return true
}

// admit takes room in flight and in memory for a request. When the connection has
// no room the request must wait; when the server has none it is answered.
func (p *pass) admit(id uint32, size int) (stop passStop, ok bool) {
	if !p.conn.out.admit(size) {
		return passStop{needsRoom: size}, false
	}
	if !p.server.memory.take(size) {
		p.conn.out.withdraw(size)
		p.refuse(id, wire.Unavailable, errNoMemory.Error())
		return passStop{}, false
	}
	return passStop{}, true
}

// ended ends an admitted request by its answer. It does not block.
func (c *conn) ended(size int, a lateAnswer) {
	c.server.memory.give(size)
	c.out.answer(size, a)
}

func (call *edgeCall) done(*edgeWrite) { call.conn.ended(call.sizeBytes, call) }

func (call *edgeCall) appendAnswer(dst []byte) []byte {
	w := &call.write
	if w.Code != wire.OK {
		return appendError(dst, call.id, w.Code, w.Message)
	}
	return wire.AppendReply(dst, wire.OK, call.id, &wire.EdgeReply{Pending: w.Pending, Results: w.Results})
}
