package server

import (
	"bytes"
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// importCall is an import frame that waits for its answer. Its rows become one
// write for each follower, in the order of the rows, so that the first of equal
// rows is the one that counts.
type importCall struct {
	conn      *conn
	id        uint32
	sizeBytes int
	results   []wire.EdgeResult // by row
	groups    []importGroup
	open      atomic.Int32 // groups without an answer, and one while starting
	pending   atomic.Bool
}

// importGroup is the rows of one follower.
type importGroup struct {
	call  *importCall
	rows  []int32 // of the frame, in order
	write edgeWrite
}

// imports starts an import, unless too much is in flight.
func (p *pass) imports(id uint32, body []byte) passStop {
	m := &p.messages.imports
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return passStop{}
	}
	if p.refusesWrite(id) {
		return passStop{}
	}
	order, groups := byFollower(m.Rows)
	size := len(body) + groups*writeBytes + len(m.Rows)*targetBytes
	if stop, ok := p.admit(id, size); !ok {
		return stop
	}
	p.cost += len(m.Rows)
	_ = m.Decode(slices.Clone(body)) // as for an edge
	call := &importCall{
		conn: p.conn, id: id, sizeBytes: size,
		results: make([]wire.EdgeResult, len(m.Rows)), groups: make([]importGroup, 0, groups),
	}
	call.start(p.server.writes, m, order)
	return passStop{}
}

// byFollower returns the rows' numbers, grouped by follower and in their order
// within each, and how many followers there are.
func byFollower(rows []wire.ImportRow) (order []int32, groups int) {
	order = make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(bytes.Compare(rows[a].Follower, rows[b].Follower), cmp.Compare(a, b))
	})
	for i := range order {
		if i == 0 || !bytes.Equal(rows[order[i]].Follower, rows[order[i-1]].Follower) {
			groups++
		}
	}
	return order, groups
}

// start begins the writes of all groups. The rows' bytes are the call's own.
func (call *importCall) start(writes edgeStarter, m *wire.ImportRequest, order []int32) {
	call.open.Store(1)
	targets := make([][]byte, len(order))
	times := make([]uint32, len(order))
	for i, row := range order {
		targets[i], times[i] = m.Rows[row].Followee, m.Rows[row].Time
	}
	for first := 0; first < len(order); {
		follower := m.Rows[order[first]].Follower
		end := first + 1
		for end < len(order) && bytes.Equal(m.Rows[order[end]].Follower, follower) {
			end++
		}
		call.groups = append(call.groups, importGroup{call: call, rows: order[first:end]})
		g := &call.groups[len(call.groups)-1] // there is room for all: they do not move
		g.write = edgeWrite{
			Me: follower, Targets: targets[first:end:end], Times: times[first:end:end],
			NoWait: m.Flags&wire.FlagNoWait != 0, Done: g.done,
		}
		g.start(writes)
		first = end
	}
	call.ended()
}

func (g *importGroup) start(writes edgeStarter) {
	if shard.CheckUserID(g.write.Me) != nil {
		g.write.Code = wire.BadRequest
		g.fill()
		return
	}
	g.call.open.Add(1)
	writes.start(&g.write)
}

func (g *importGroup) done(w *edgeWrite) {
	if w.Pending {
		g.call.pending.Store(true)
	}
	g.fill()
	g.call.ended()
}

// fill hands the group's outcome to its rows. No two groups have a row in common.
func (g *importGroup) fill() {
	for i, row := range g.rows {
		if g.write.Code != wire.OK {
			g.call.results[row] = wire.MakeEdgeResult(g.write.Code, false)
		} else {
			g.call.results[row] = g.write.Results[i]
		}
	}
}

// ended counts a group out; the last one answers the frame.
func (call *importCall) ended() {
	if call.open.Add(-1) == 0 {
		call.conn.ended(call.sizeBytes, call)
	}
}

func (call *importCall) appendAnswer(dst []byte) []byte {
	return wire.AppendReply(dst, wire.OK, call.id, &wire.ImportReply{Pending: call.pending.Load(), Results: call.results})
}
