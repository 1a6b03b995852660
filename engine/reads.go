package engine

import (
	"math"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Counts are the lengths of a user's three lists.
type Counts struct {
	Followers, Following, Mutual uint32
}

// Counts returns a user's counts, all 0 for one who does not live here.
func (g *Graph) Counts(uid shard.UID) Counts {
	n, ok := g.resident(uid)
	if !ok {
		return Counts{}
	}
	return Counts{
		Followers: uint32(g.list(n, followers).Len()),
		Following: uint32(g.list(n, following).Len()),
		Mutual:    *g.mutual(n),
	}
}

// FollowType is what another user is to me. Its two bits are "follows me" and
// "I follow".
type FollowType uint8

// The follow types.
const (
	NoFollow   FollowType = 0 // neither follows the other
	Follower   FollowType = 1 // the other follows me
	IFollow    FollowType = 2 // I follow the other
	BothFollow FollowType = 3 // mutual
)

// checkBatch is how many checks share the stack scratch of FollowTypes.
const checkBatch = 128

// FollowTypes puts what each of others is to me into dst, which must be as long
// as others. It is NoFollow for oneself, for shard.NoUID, and for all when me
// does not live here.
func (g *Graph) FollowTypes(me shard.UID, others []shard.UID, dst []FollowType) {
	dst = dst[:len(others)]
	n, ok := g.resident(me)
	if !ok {
		clear(dst)
		return
	}
	var uids [checkBatch]uint32
	var hits [checkBatch]bool
	for len(others) > 0 {
		count := min(len(others), checkBatch)
		for i, uid := range others[:count] {
			uids[i] = uint32(uid)
		}
		g.pool.ContainsMany(*g.list(n, following), uids[:count], hits[:count])
		for i, hit := range hits[:count] {
			dst[i] = NoFollow
			if hit {
				dst[i] = IFollow
			}
		}
		g.pool.ContainsMany(*g.list(n, followers), uids[:count], hits[:count])
		for i, hit := range hits[:count] {
			if hit {
				dst[i] |= Follower
			}
		}
		others, dst = others[count:], dst[count:]
	}
}

// ListKind names one of a user's three lists.
type ListKind uint8

// The lists, each newest first. Mutual is ordered by when its owner followed.
const (
	Followers ListKind = iota
	Following
	Mutual
)

// Edge is a member of a list.
type Edge struct {
	UID  shard.UID
	Time uint32 // seconds since 1970 UTC
}

// Position is a place in a list: follow time << 32 | uid.
type Position uint64

// Newest is the position before a list's first member.
const Newest Position = math.MaxUint64

// Position returns the edge's place; a page before it goes on behind the edge.
func (e Edge) Position() Position {
	return Position(neighbors.MakeKey(e.Time, uint32(e.UID)))
}

// pageBatch is how many members Page takes from a list at a time.
const pageBatch = 512

// Page appends to dst the members of a list that are strictly older than before,
// newest first: limit of them, or fewer when the list ends. It is empty for
// a user who does not live here and for an unknown kind.
func (g *Graph) Page(kind ListKind, me shard.UID, before Position, limit int, dst []Edge) []Edge {
	n, ok := g.resident(me)
	if !ok || kind > Mutual {
		return dst
	}
	var scratch [pageBatch]neighbors.Key
	for limit > 0 {
		count := min(limit, pageBatch)
		keys := g.pageKeys(kind, n, neighbors.Key(before), scratch[:0], count)
		for _, k := range keys {
			dst = append(dst, Edge{UID: shard.UID(k.UID()), Time: k.Time()})
		}
		if len(keys) < count {
			break
		}
		limit -= count
		before = Position(keys[count-1])
	}
	return dst
}

func (g *Graph) pageKeys(kind ListKind, n uint32, before neighbors.Key, dst []neighbors.Key, limit int) []neighbors.Key {
	switch kind {
	case Followers:
		return g.pool.Before(*g.list(n, followers), before, dst, limit)
	case Following:
		return g.pool.Before(*g.list(n, following), before, dst, limit)
	default:
		return g.pool.AndBefore(*g.list(n, following), *g.list(n, followers), before, dst, limit)
	}
}
