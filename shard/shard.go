package shard

import (
	"fmt"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

const (
	// MaxShards is the largest number of shards that a cluster can have.
	MaxShards = 256
	// DefaultShards is the number of shards of a cluster that was not told otherwise:
	// about two for each node that it is to grow to, few because each is a Raft group.
	DefaultShards = 4
)

// ID numbers a shard, from 0 to Layout.Shards()-1.
type ID uint16

// UID is a user's number in the whole cluster: n·S + home shard.
type UID uint32

// NoUID stands for a user that has no number. No user ever gets it.
const NoUID UID = ^UID(0)

// Layout is the way in which one cluster's users are spread over its shards.
// The zero value is the layout of a single shard.
type Layout struct {
	bits uint8
}

// NewLayout returns the layout of a cluster of the given number of shards, a
// power of two from 1 to MaxShards.
func NewLayout(shards int) (Layout, error) {
	if shards < 1 || shards > MaxShards || shards&(shards-1) != 0 {
		return Layout{}, fmt.Errorf("%w: %d", ErrShardCount, shards)
	}
	return Layout{bits: uint8(bits.TrailingZeros(uint(shards)))}, nil
}

// Shards returns the number of shards.
func (l Layout) Shards() int { return 1 << l.bits }

// Home returns the shard in which the user of that id lives.
func (l Layout) Home(userID []byte) ID {
	return ID(xxhash.Sum64(userID) & l.mask())
}

// HomeOf returns the shard in which the user of that number lives.
func (l Layout) HomeOf(u UID) ID { return ID(uint64(u) & l.mask()) }

// Local returns the user's number n within its home shard.
func (l Layout) Local(u UID) uint32 { return uint32(u) >> l.bits }

// UID returns the cluster-wide number of the n-th user of a shard. The caller
// keeps n below UsersPerShard.
func (l Layout) UID(n uint32, s ID) UID { return UID(n<<l.bits | uint32(s)) }

// UsersPerShard returns how many users one shard can number. The last number of
// the last shard would be NoUID, so every shard stops one short of its range.
func (l Layout) UsersPerShard() uint32 { return uint32(1<<(32-l.bits) - 1) }

func (l Layout) mask() uint64 { return 1<<l.bits - 1 }
