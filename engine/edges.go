package engine

import (
	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Outcome says what a Follow or an Unfollow did.
type Outcome uint8

// The outcomes. The zero Outcome is none of them.
const (
	Followed      Outcome = iota + 1 // the edge is new
	Already                          // it was there, and keeps its time
	SelfFollow                       // refused: nobody follows oneself
	FollowingFull                    // refused: the user follows as many as one may
	Unfollowed                       // the edge is gone
	NotFollowing                     // it was not there
	Invalid                          // refused: me is not a user of this shard, or target cannot be a user
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case Followed:
		return "followed"
	case Already:
		return "already"
	case SelfFollow:
		return "self_follow"
	case FollowingFull:
		return "following_full"
	case Unfollowed:
		return "unfollowed"
	case NotFollowing:
		return "not_following"
	case Invalid:
		return "invalid"
	}
	return "unknown"
}

// Follow makes me, who must live here, follow target. The time is in seconds
// since 1970 UTC.
//
// seq is the number of the outbox item, in the stream to target's shard, that has
// to be applied there before both sides show the edge; 0 means that they already
// do. For Already it is the last item of that stream if any still waits, for that
// may be this very edge.
func (g *Graph) Follow(me, target shard.UID, time uint32) (o Outcome, seq uint64) {
	n, ok := g.resident(me)
	switch {
	case !ok || !g.possible(target):
		return Invalid, 0
	case me == target:
		return SelfFollow, 0
	}
	if list := g.list(n, following); uint32(list.Len()) >= g.limit {
		if g.pool.Contains(*list, uint32(target)) {
			return Already, g.waitingFor(target)
		}
		return FollowingFull, 0
	}
	if !g.addEdge(n, following, neighbors.MakeKey(time, uint32(target))) {
		return Already, g.waitingFor(target)
	}
	if home := g.layout.HomeOf(target); home != g.shard {
		return Followed, g.outbox[home].push(makeQueued(n, false, target, time))
	}
	if !g.addEdge(g.layout.Local(target), followers, neighbors.MakeKey(time, uint32(me))) {
		panic("engine: a follower without a following in the same shard")
	}
	return Followed, 0
}

// Unfollow makes me, who must live here, no longer follow target; oneself is
// never followed. seq is as for Follow, NotFollowing as Already.
func (g *Graph) Unfollow(me, target shard.UID) (o Outcome, seq uint64) {
	n, ok := g.resident(me)
	if !ok || !g.possible(target) {
		return Invalid, 0
	}
	k, ok := g.pool.Find(*g.list(n, following), uint32(target))
	if !ok {
		return NotFollowing, g.waitingFor(target)
	}
	g.removeEdge(n, following, k)
	if home := g.layout.HomeOf(target); home != g.shard {
		return Unfollowed, g.outbox[home].push(makeQueued(n, true, target, k.Time()))
	}
	g.removeEdge(g.layout.Local(target), followers, neighbors.MakeKey(k.Time(), uint32(me)))
	return Unfollowed, 0
}

// waitingFor returns the last number of the stream to target's shard while any of
// its items waits, else 0.
func (g *Graph) waitingFor(target shard.UID) uint64 {
	if q := &g.outbox[g.layout.HomeOf(target)]; q.trimmed < q.last {
		return q.last
	}
	return 0
}

// addEdge puts a neighbour into one list of a user who lives here, unless it is
// in there, and keeps that user's mutual count.
func (g *Graph) addEdge(n uint32, d direction, k neighbors.Key) bool {
	if !g.pool.Insert(g.list(n, d), listOwner(n, d), k) {
		return false
	}
	g.edges[d]++
	g.edgeSum += edgeHash(n, d, k)
	if g.pool.Contains(*g.list(n, d.other()), k.UID()) {
		*g.mutual(n)++
	}
	return true
}

// removeEdge is the reverse of addEdge. The neighbour must be there.
func (g *Graph) removeEdge(n uint32, d direction, k neighbors.Key) {
	if !g.pool.Remove(g.list(n, d), listOwner(n, d), k) {
		panic("engine: an edge to remove is not there")
	}
	g.edges[d]--
	g.edgeSum -= edgeHash(n, d, k)
	if g.pool.Contains(*g.list(n, d.other()), k.UID()) {
		*g.mutual(n)--
	}
}
