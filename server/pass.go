package server

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// Limits of one pass: enough to overlap cache misses, few enough that other
// connections and writers of the graph wait for microseconds only.
const (
	passFrames = 256
	passIDs    = 512
	// mutualIDs is what a page of mutuals counts, whatever its length: all 5,000 that
	// its owner follows may have to be looked up among the followers.
	mutualIDs = passIDs / 8
	// Expected bytes of answers, to weigh lists against checks.
	listItemBytes = 32
	infoItemBytes = 13
)

// pass serves the frames that have arrived on a connection in stages, so that
// the cache misses of many requests overlap: parse all, look up all names by
// home shard, read the graphs of each `me`, name the users in lists, encode, one
// write. Writes leave a pass as soon as they are parsed. All reads of a pass have
// the same consistency level.
//
// A pass is scratch that is lent by a passPool: nothing in it outlives run.
type pass struct {
	server *Server
	conn   *conn
	out    *buffer

	frames   int
	cost     int // ids
	expected int // bytes of answers that are still to be encoded
	level    uint8
	reads    []read
	ids      idTable
	byHome   buckets // ids by home shard
	byMe     buckets // reads by home shard of me
	edges    []engine.Edge
	names    [][]byte // of edges
	byUser   buckets  // edges by home shard of their user

	lookIDs  [][]byte
	lookUIDs []shard.UID
	cursor   cursorScratch
	next     [cursorChars]byte
	messages messages
}

// messages are decoded into and encoded from, over and over.
type messages struct {
	check      wire.CheckRequest
	info       wire.InfoRequest
	list       wire.ListRequest
	edge       wire.EdgeRequest
	imports    wire.ImportRequest
	checkReply wire.CheckReply
	infoReply  wire.InfoReply
	listReply  wire.ListReply
}

// read is a check, info or list on its way through the stages.
type read struct {
	typ          wire.Type
	id           uint32 // of the request
	me           int    // index of me in ids; not for info
	first, count int    // ids of the request
	cost         int    // ids that it is reckoned as

	code    wire.Code // not OK: the whole request is refused
	message string
	leader  string
	list    listRead
}

// idTable holds all user ids that a pass looks up, by columns.
type idTable struct {
	id      [][]byte
	uid     []shard.UID
	code    []wire.Code
	counted []bool // counts are wanted
	counts  []engine.Counts
	types   []engine.FollowType // as seen by the request's me
}

func (t *idTable) reset() {
	t.id, t.uid, t.code = t.id[:0], t.uid[:0], t.code[:0]
	t.counted, t.counts, t.types = t.counted[:0], t.counts[:0], t.types[:0]
}

// passStop says why a pass took no further frame. Handlers of requests return the
// zero value when they have taken theirs, else what must come first.
type passStop struct {
	more      bool  // the pass was full; there may be more frames
	needsRoom int   // not 0: the next request needs that much room in flight
	err       error // the connection is over
}

// passPool lends passes.
type passPool struct {
	pool   sync.Pool
	server *Server
}

func (pp *passPool) get() *pass {
	if p, ok := pp.pool.Get().(*pass); ok {
		return p
	}
	shards := pp.server.layout.Shards()
	return &pass{server: pp.server, byHome: newBuckets(shards), byMe: newBuckets(shards), byUser: newBuckets(shards)}
}

func (pp *passPool) put(p *pass) { pp.pool.Put(p) }

// run serves what fits into one pass.
func (p *pass) run(c *conn) passStop {
	p.conn, p.out = c, p.server.outputs.get()
	p.frames, p.cost, p.expected, p.level = 0, 0, 0, 0
	p.reads = p.reads[:0]
	p.ids.reset()
	p.byHome.reset()
	stop := p.parse()
	if len(p.reads) > 0 {
		if p.level == wire.ReadConsistent {
			p.verify()
		}
		p.lookUp()
		p.startReads()
		p.readGraphs()
		for p.lookUpUnknown() {
			p.readGraphs()
		}
		p.nameEdges()
		p.encode()
	}
	p.conn = nil
	return stop
}

// takeOutput returns the answers, which are the caller's from then on.
func (p *pass) takeOutput() *buffer {
	out := p.out
	p.out = nil
	return out
}

func (p *pass) isFull() bool {
	return p.frames >= passFrames || p.cost >= passIDs ||
		len(p.out.b)+p.expected >= p.server.options.Limits.OutputPassBytes
}

// parse takes frames off the connection's buffer, answers what needs no graph,
// starts writes, and notes reads.
func (p *pass) parse() passStop {
	in := &p.conn.in
	for !p.isFull() {
		h, body, _, err := wire.NextFrame(in.bytes(), p.conn.frameBytes)
		switch {
		case errors.Is(err, wire.ErrIncomplete):
			return passStop{}
		case err != nil:
			p.refuse(h.ID, wire.BadRequest, fmt.Sprintf("%v: at most %d bytes of body", err, p.conn.frameBytes))
			return passStop{err: err}
		case h.ID == wire.ConnectionID:
			p.refuse(h.ID, wire.BadRequest, errRequestID.Error())
			return passStop{err: errRequestID}
		}
		if stop := p.frame(h, body); stop != (passStop{}) {
			return stop
		}
		in.consume(wire.HeaderBytes + len(body))
		p.conn.partial = false
		p.frames++
	}
	return passStop{more: true}
}

// frame takes one request, if it can be taken now.
func (p *pass) frame(h wire.Header, body []byte) passStop {
	switch t := wire.Type(h.Type); t {
	case wire.TypePing:
		p.ping(h.ID, body)
	case wire.TypeStatus:
		p.status(h.ID, body)
	case wire.TypeCheck:
		return p.check(h.ID, body)
	case wire.TypeInfo:
		return p.info(h.ID, body)
	case wire.TypeFollowers, wire.TypeFollowing, wire.TypeMutuals:
		return p.list(t, h.ID, body)
	case wire.TypeFollow, wire.TypeUnfollow:
		return p.edge(t, h.ID, body)
	case wire.TypeImport:
		return p.imports(h.ID, body)
	case wire.TypeExport:
		p.export(h.ID, body)
	case wire.TypeCredit:
		return p.credit(h.ID, body)
	case wire.TypeCancel:
		return p.cancel(h.ID, body)
	case wire.TypeHello:
		p.refuse(h.ID, wire.BadRequest, "the connection has had its hello")
	default:
		p.refuse(h.ID, wire.BadRequest, fmt.Sprintf("unknown request type %d", h.Type))
	}
	return passStop{}
}

func (p *pass) refuse(id uint32, code wire.Code, message string) {
	p.out.b = appendError(p.out.b, id, code, message)
}

func (p *pass) ping(id uint32, body []byte) {
	if err := (&wire.Ping{}).Decode(body); err != nil {
		p.refuse(id, wire.BadRequest, err.Error())
		return
	}
	p.out.b = wire.AppendReply(p.out.b, wire.OK, id, &wire.PingReply{})
}
