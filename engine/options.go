package engine

import (
	"fmt"

	"github.com/kithgraph/kith/shard"
)

// DefaultFollowingLimit is how many users one may follow, unless set.
const DefaultFollowingLimit = 5000

// maxUsers is how many users a shard takes at most: the number and a direction
// must fit 32 bits. Memory ends long before.
const maxUsers = 1<<31 - 1

// Options says which shard a Graph is.
type Options struct {
	// Layout is the cluster's. The default is a single shard.
	Layout shard.Layout
	// Shard is this shard's number, below Layout.Shards(). The default is 0.
	Shard shard.ID
	// FollowingLimit is how many users one user may follow: the initial value of
	// a replicated setting. The default is DefaultFollowingLimit.
	FollowingLimit uint32
}

// Validate returns an error for a shard that the layout does not have.
func (o Options) Validate() error {
	if int(o.Shard) >= o.Layout.Shards() {
		return fmt.Errorf("%w: %d of %d", ErrShard, o.Shard, o.Layout.Shards())
	}
	return nil
}
