package server

import (
	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/wire"
)

// listRead is what a read that is a list has besides.
type listRead struct {
	kind   engine.ListKind
	cursor []byte // of the request
	limit  int
	before engine.Position

	total        uint32
	first, count int // edges of the page
	more         bool
}

func (p *pass) list(t wire.Type, id uint32, body []byte) passStop {
	m := &p.messages.list
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return passStop{}
	}
	if !p.sameLevel(m.Flags) {
		return passStop{more: true}
	}
	me, ok := p.addMe(id, "user", m.User)
	if !ok {
		return passStop{}
	}
	limit := int(m.Limit)
	if limit == 0 {
		limit = wire.DefaultPage
	}
	cost := 1
	if t == wire.TypeMutuals {
		cost = mutualIDs
	}
	r := read{typ: t, id: id, me: me, cost: cost, list: listRead{kind: listKind(t), cursor: m.Cursor, limit: limit}}
	p.note(r, limit*listItemBytes)
	return passStop{}
}

func listKind(t wire.Type) engine.ListKind {
	switch t {
	case wire.TypeFollowers:
		return engine.Followers
	case wire.TypeFollowing:
		return engine.Following
	}
	return engine.Mutual
}

// startList finds the place at which the page begins. A cursor that is not of
// this list ends the read.
func (p *pass) startList(r *read) (ok bool) {
	r.list.before = engine.Newest
	if len(r.list.cursor) == 0 {
		return true
	}
	before, err := p.server.cursors.parse(r.list.cursor, &p.cursor, r.list.kind, p.ids.uid[r.me])
	if err != nil {
		r.code, r.message = wire.BadCursor, err.Error()
		return false
	}
	r.list.before = before
	return true
}

// readUnknown answers for a user that nobody has named yet: empty lists, for
// which no cursor was ever given, and no relationship with anybody.
func (p *pass) readUnknown(r *read) {
	if r.typ != wire.TypeCheck && len(r.list.cursor) > 0 {
		r.code, r.message = wire.BadCursor, errBadCursor.Error()
	}
}

// readList takes the page and the total from the same state of the graph, which
// the caller holds. One edge more than asked for tells whether the list goes on.
func (p *pass) readList(r *read, graph *engine.Graph) {
	l, me := &r.list, p.ids.uid[r.me]
	counts := graph.Counts(me)
	switch l.kind {
	case engine.Followers:
		l.total = counts.Followers
	case engine.Following:
		l.total = counts.Following
	default:
		l.total = counts.Mutual
	}
	l.first = len(p.edges)
	p.edges = graph.Page(l.kind, me, l.before, l.limit+1, p.edges)
	l.count = len(p.edges) - l.first
	if l.more = l.count > l.limit; l.more {
		l.count = l.limit
		p.edges = p.edges[:l.first+l.limit]
	}
}

// nameEdges finds the ids of the users in all lists, one shard at a time. A name
// is never taken back, so it needs no leader, and outlives the lock.
func (p *pass) nameEdges() {
	p.names = resized(p.names, len(p.edges))
	nameUsers(p.server, p.edges, p.names, &p.byUser)
	for i := range p.reads {
		r := &p.reads[i]
		for _, name := range p.names[r.list.first : r.list.first+r.list.count] {
			if name == nil {
				r.code, r.message = wire.Unavailable, errUnnamed.Error()
				break
			}
		}
	}
}

// nameUsers puts the user id of each edge into names, nil where the local replica
// of the user's home has not heard of it yet.
func nameUsers(s *Server, edges []engine.Edge, names [][]byte, byUser *buckets) {
	byUser.reset()
	for i, e := range edges {
		byUser.add(s.layout.HomeOf(e.UID), i)
	}
	for _, home := range byUser.shards() {
		reading := beginReading(s.groups[home])
		for i := range byUser.of(home) {
			names[i] = reading.next(1).UserID(edges[i].UID)
		}
		reading.end()
	}
}

func (p *pass) fillList(r *read) {
	l, m := &r.list, &p.messages.listReply
	m.Total, m.NextCursor, m.Items = l.total, nil, m.Items[:0]
	end := l.first + l.count
	for i := l.first; i < end; i++ {
		m.Items = append(m.Items, wire.ListItem{UserID: p.names[i], FollowTime: p.edges[i].Time})
	}
	if l.more {
		m.NextCursor = p.server.cursors.append(p.next[:0], &p.cursor, l.kind, p.ids.uid[r.me], p.edges[end-1].Position())
	}
}
