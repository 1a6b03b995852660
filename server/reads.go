package server

import (
	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// sameLevel tells whether a read of that level fits the pass, and sets the level
// by the first one.
func (p *pass) sameLevel(flags uint8) bool {
	level := flags & wire.ReadMask
	if len(p.reads) == 0 {
		p.level = level
	}
	return p.level == level
}

// addID enters a user id into the table. A bad one gets its code and nothing else.
func (p *pass) addID(id []byte, counted bool) int {
	t := &p.ids
	i := len(t.id)
	code := wire.OK
	if shard.CheckUserID(id) != nil {
		code = wire.BadRequest
	} else {
		p.byHome.add(p.server.layout.Home(id), i)
	}
	t.id = append(t.id, id)
	t.uid = append(t.uid, shard.NoUID)
	t.code = append(t.code, code)
	t.counted = append(t.counted, counted)
	t.counts = append(t.counts, engine.Counts{})
	t.types = append(t.types, engine.NoFollow)
	return i
}

// addMe enters the user on whose behalf a request is made; a bad one spoils the
// request, which is then answered.
func (p *pass) addMe(request uint32, what string, id []byte) (me int, ok bool) {
	if err := shard.CheckUserID(id); err != nil {
		p.refuse(request, wire.BadRequest, what+": "+err.Error())
		return 0, false
	}
	return p.addID(id, false), true
}

func (p *pass) check(id uint32, body []byte) passStop {
	m := &p.messages.check
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return passStop{}
	}
	if !p.sameLevel(m.Flags) {
		return passStop{more: true}
	}
	me, ok := p.addMe(id, "me", m.Me)
	if !ok {
		return passStop{}
	}
	r := read{typ: wire.TypeCheck, id: id, me: me, first: len(p.ids.id), count: len(m.UserIDs), cost: len(m.UserIDs) + 1}
	for _, other := range m.UserIDs {
		p.addID(other, false)
	}
	p.note(r, r.count)
	return passStop{}
}

func (p *pass) info(id uint32, body []byte) passStop {
	m := &p.messages.info
	if err := m.Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return passStop{}
	}
	if len(m.UserIDs) == 0 {
		p.refuse(id, wire.BadRequest, "info: the credentials of this connection name no user; give the user ids")
		return passStop{}
	}
	if !p.sameLevel(m.Flags) {
		return passStop{more: true}
	}
	r := read{typ: wire.TypeInfo, id: id, first: len(p.ids.id), count: len(m.UserIDs), cost: len(m.UserIDs)}
	for _, user := range m.UserIDs {
		p.addID(user, true)
	}
	p.note(r, r.count*infoItemBytes)
	return passStop{}
}

// note adds a read with its share of the pass's limits.
func (p *pass) note(r read, expectedBytes int) {
	p.reads = append(p.reads, r)
	p.cost += r.cost
	p.expected += expectedBytes + wire.HeaderBytes
}

// verify makes sure that this node leads the shards of the pass, for consistent
// reads. Where it cannot, the ids get a code.
func (p *pass) verify() {
	p.server.verifyLeaders(p.byHome.shards(), func(s shard.ID, code wire.Code) {
		for i := range p.byHome.of(s) {
			p.ids.code[i] = code
		}
	})
}

// lookUp finds the uids of the ids in byHome, and the counts where wanted, one shard at a time.
func (p *pass) lookUp() {
	t := &p.ids
	for _, s := range p.byHome.shards() {
		if refusal := p.server.refusal(s, p.level); refusal.code != wire.OK {
			for i := range p.byHome.of(s) {
				t.code[i] = refusal.code
			}
			continue
		}
		p.lookIDs = p.lookIDs[:0]
		for i := range p.byHome.of(s) {
			p.lookIDs = append(p.lookIDs, t.id[i])
		}
		p.lookUIDs = resized(p.lookUIDs, len(p.lookIDs))
		group := p.server.groups[s]
		graph := group.RLock()
		graph.LookupMany(p.lookIDs, p.lookUIDs)
		j := 0
		for i := range p.byHome.of(s) {
			t.uid[i] = p.lookUIDs[j]
			if t.counted[i] {
				t.counts[i] = graph.Counts(t.uid[i])
			}
			j++
		}
		group.RUnlock()
	}
}

// startReads answers the checks and lists for which no graph need be read, and
// puts the others into byMe.
func (p *pass) startReads() {
	p.byMe.reset()
	p.edges = p.edges[:0]
	for i := range p.reads {
		r := &p.reads[i]
		if r.typ == wire.TypeInfo {
			continue
		}
		switch me := p.ids.uid[r.me]; {
		case p.ids.code[r.me] != wire.OK:
			p.refuseRead(r, p.ids.code[r.me])
		case me == shard.NoUID:
			p.readUnknown(r)
		case r.typ == wire.TypeCheck || p.startList(r):
			p.byMe.add(p.server.layout.HomeOf(me), i)
		}
	}
}

// readGraphs reads what me's shard knows, for the checks and lists in byMe. Each of
// them sees one state of the graph, but not all of them the same.
func (p *pass) readGraphs() {
	for _, s := range p.byMe.shards() {
		reading := beginReading(p.server.groups[s])
		for i := range p.byMe.of(s) {
			r := &p.reads[i]
			graph := reading.next(r.cost)
			if r.typ == wire.TypeCheck {
				end := r.first + r.count
				graph.FollowTypes(p.ids.uid[r.me], p.ids.uid[r.first:end], p.ids.types[r.first:end])
			} else {
				p.readList(r, graph)
			}
		}
		reading.end()
	}
}

// lookUpUnknown looks again for the users of checks who were unknown before me's
// shard was read. One who still is had no follow in what was read. Where one has
// been named since, the answer could lack its follow and show a later one, so
// the checks with unknown users are left in byMe, to be read again. That ends:
// each round has named another user.
func (p *pass) lookUpUnknown() (found bool) {
	t := &p.ids
	p.byHome.reset()
	p.byMe.reset()
	for i := range p.reads {
		r := &p.reads[i]
		if r.typ != wire.TypeCheck || r.code != wire.OK || t.uid[r.me] == shard.NoUID {
			continue
		}
		unknown := false
		for j := r.first; j < r.first+r.count; j++ {
			if t.uid[j] == shard.NoUID && t.code[j] == wire.OK {
				p.byHome.add(p.server.layout.Home(t.id[j]), j)
				unknown = true
			}
		}
		if unknown {
			p.byMe.add(p.server.layout.HomeOf(t.uid[r.me]), i)
		}
	}
	p.lookUp()
	for _, s := range p.byHome.shards() {
		for i := range p.byHome.of(s) {
			found = found || t.uid[i] != shard.NoUID
		}
	}
	return found
}

// refuseRead fails a read as a whole with the code of me, and says why if that
// is still known.
func (p *pass) refuseRead(r *read, code wire.Code) {
	why := p.server.refusal(p.server.layout.Home(p.ids.id[r.me]), p.level)
	r.code, r.message, r.leader = code, why.message, why.leader
	if r.message == "" {
		r.message = "the shard of the user could not be read just now"
	}
}

// encode appends the answers of all reads.
func (p *pass) encode() {
	m := &p.messages
	for i := range p.reads {
		r := &p.reads[i]
		if r.code != wire.OK {
			p.out.b = wire.AppendReply(p.out.b, r.code, r.id, &wire.ErrorReply{Message: r.message, Leader: r.leader})
			continue
		}
		switch r.typ {
		case wire.TypeCheck:
			p.fillCheck(r)
			p.out.b = wire.AppendReply(p.out.b, wire.OK, r.id, &m.checkReply)
		case wire.TypeInfo:
			p.fillInfo(r)
			p.out.b = wire.AppendReply(p.out.b, wire.OK, r.id, &m.infoReply)
		default:
			p.fillList(r)
			p.out.b = wire.AppendReply(p.out.b, wire.OK, r.id, &m.listReply)
		}
	}
}

func (p *pass) fillCheck(r *read) {
	results := p.messages.checkReply.Results[:0]
	for i := r.first; i < r.first+r.count; i++ {
		result := wire.CheckResult(p.ids.types[i])
		if code := p.ids.code[i]; code != wire.OK {
			result = wire.CheckRefused(code)
		}
		results = append(results, result)
	}
	p.messages.checkReply.Results = results
}

func (p *pass) fillInfo(r *read) {
	items := p.messages.infoReply.Items[:0]
	for i := r.first; i < r.first+r.count; i++ {
		n := p.ids.counts[i]
		items = append(items, wire.InfoItem{Code: p.ids.code[i], Followers: n.Followers, Following: n.Following, Mutual: n.Mutual})
	}
	p.messages.infoReply.Items = items
}

// resized returns a slice of n elements, which is s where that is large enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
