package engine

import (
	"fmt"

	"github.com/kithgraph/kith/engine/internal/names"
	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// direction tells a user's two lists apart. The numbers are stored.
type direction uint8

const (
	following direction = 0 // whom the user follows
	followers direction = 1 // who follows the user
)

func (d direction) other() direction { return d ^ 1 }

// Graph is the state of one shard. See the package comment for who may call what
// at the same time.
type Graph struct {
	layout  shard.Layout
	shard   shard.ID
	limit   uint32 // how many users one may follow from now on
	highest uint32 // the highest limit so far: nobody follows more
	names   *names.Table
	users   []*userPage
	pool    *neighbors.Pool
	edges   [2]uint64 // members of all lists of a direction
	edgeSum uint64    // of edgeHash over all lists: stored, so that a lost or old chunk is found out

	marks  []uint64 // by shard: the last item applied from there
	outbox []outboxQueue

	dirty       *dirtySet // chunks changed since the last freeze
	storedNames uint32    // names in the committed records
	frozen      *Frozen   // the one alive, or nil
}

const pageUsers = 1024

// userPage holds the lists of users of consecutive numbers: pointer-free, and in
// pages so that a new user never moves the old ones.
type userPage struct {
	lists  [pageUsers][2]neighbors.List
	mutual [pageUsers]uint32
}

// New returns the empty graph of one shard.
func New(o Options) (*Graph, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	g := &Graph{
		layout: o.Layout,
		shard:  o.Shard,
		names:  names.New(),
		marks:  make([]uint64, o.Layout.Shards()),
		outbox: make([]outboxQueue, o.Layout.Shards()),
		dirty:  newDirtySet(),
	}
	g.pool = neighbors.NewPool(g.touch)
	g.SetFollowingLimit(o.FollowingLimit)
	return g, nil
}

// Users returns how many users live here.
func (g *Graph) Users() uint32 { return uint32(g.names.Len()) }

// FollowingLimit returns how many users one may follow.
func (g *Graph) FollowingLimit() uint32 { return g.limit }

// SetFollowingLimit changes how many users one may follow; 0 means
// DefaultFollowingLimit. Who follows more than a lowered limit keeps them all.
func (g *Graph) SetFollowingLimit(limit uint32) {
	if limit == 0 {
		limit = DefaultFollowingLimit
	}
	g.limit = limit
	g.highest = max(g.highest, limit)
}

// Lookup returns the uid of a user who lives here, or shard.NoUID.
func (g *Graph) Lookup(id []byte) shard.UID {
	n, ok := g.names.Lookup(id)
	if !ok {
		return shard.NoUID
	}
	return g.uid(n)
}

// LookupMany puts the uid of each id, or shard.NoUID, into uids, which must be as
// long as ids. It is several times faster than as many calls of Lookup.
func (g *Graph) LookupMany(ids [][]byte, uids []shard.UID) {
	const batch = 128
	var ns [batch]uint32
	for len(ids) > 0 {
		count := min(len(ids), batch)
		g.names.LookupMany(ids[:count], ns[:count])
		for i, n := range ns[:count] {
			uids[i] = shard.NoUID
			if n != names.Unknown {
				uids[i] = g.uid(n)
			}
		}
		ids, uids = ids[count:], uids[count:]
	}
}

// UserID returns the id of a user who lives here, else nil. The bytes belong to
// the graph, stay valid for ever and must not be changed.
func (g *Graph) UserID(uid shard.UID) []byte {
	n, ok := g.resident(uid)
	if !ok {
		return nil
	}
	return g.names.ID(n)
}

// Register returns the uid of a user id that has its home here, and gives it the
// next number if it is new. Its errors wrap shard.ErrUserID, ErrWrongHome or
// ErrFull; then the uid is shard.NoUID.
func (g *Graph) Register(id []byte) (shard.UID, error) {
	if err := shard.CheckUserID(id); err != nil {
		return shard.NoUID, err
	}
	if home := g.layout.Home(id); home != g.shard {
		return shard.NoUID, fmt.Errorf("%w: %d, not %d", ErrWrongHome, home, g.shard)
	}
	if n, ok := g.names.Lookup(id); ok {
		return g.uid(n), nil
	}
	if g.Users() >= min(maxUsers, g.layout.UsersPerShard()) {
		return shard.NoUID, ErrFull
	}
	n, added := g.names.Intern(id)
	if !added {
		return shard.NoUID, ErrFull
	}
	g.makeRoom(n)
	return g.uid(n), nil
}

// makeRoom gives the n-th user, the newest, a place for its lists.
func (g *Graph) makeRoom(n uint32) {
	if n%pageUsers == 0 {
		g.users = append(g.users, new(userPage))
	}
}

func (g *Graph) uid(n uint32) shard.UID { return g.layout.UID(n, g.shard) }

// resident returns the number of a user who lives here.
func (g *Graph) resident(uid shard.UID) (n uint32, ok bool) {
	if uid == shard.NoUID || g.layout.HomeOf(uid) != g.shard {
		return 0, false
	}
	n = g.layout.Local(uid)
	return n, n < g.Users()
}

// possible reports whether a uid can be a user's: one who lives here must exist,
// of another shard's only the number is known.
func (g *Graph) possible(uid shard.UID) bool {
	if g.layout.HomeOf(uid) == g.shard {
		_, ok := g.resident(uid)
		return ok
	}
	return g.layout.Local(uid) < g.layout.UsersPerShard()
}

// otherShard reports whether there is such a shard and it is not this one.
func (g *Graph) otherShard(s shard.ID) bool {
	return int(s) < g.layout.Shards() && s != g.shard
}

func (g *Graph) list(n uint32, d direction) *neighbors.List {
	return &g.users[n/pageUsers].lists[n%pageUsers][d]
}

func (g *Graph) mutual(n uint32) *uint32 {
	return &g.users[n/pageUsers].mutual[n%pageUsers]
}
