package shard

import "errors"

// Errors of wrong arguments.
var (
	// ErrShardCount is returned for a number of shards that no cluster can have.
	ErrShardCount = errors.New("the number of shards must be a power of two from 1 to 256")
	// ErrUserID is returned for bytes that cannot be a user id.
	ErrUserID = errors.New("not a user id")
	// ErrMap is returned for a map that cannot be of the cluster.
	ErrMap = errors.New("not a map of the cluster's shards")
)
