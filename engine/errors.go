package engine

import "errors"

// Errors of wrong arguments. They are equal on every replica.
var (
	// ErrShard is returned for a shard number that the layout does not have, or
	// that is this shard's own where another's is needed.
	ErrShard = errors.New("no such shard here")
	// ErrWrongHome is returned by Register for a user id that lives in another shard.
	ErrWrongHome = errors.New("the user id has another home shard")
	// ErrFull is returned by Register when the shard cannot number another user.
	ErrFull = errors.New("the shard has no user number left")
	// ErrGap is returned by Deliver when items are missing before the first.
	ErrGap = errors.New("items are missing before the first")
	// ErrItem is returned by Deliver for an item that its sender cannot have meant.
	// None of the batch is applied.
	ErrItem = errors.New("not an item of this stream")
)

// Errors of stored records, wrapped with the record's key.
var (
	// ErrCorrupt means that the bytes are not what was stored, or contradict each other.
	ErrCorrupt = errors.New("stored records are corrupt")
	// ErrUnknownVersion means that a record was stored by another version of the format.
	ErrUnknownVersion = errors.New("stored records have an unknown format version")
	// ErrTruncated means that a record or its end is missing.
	ErrTruncated = errors.New("stored records are truncated")
	// ErrForeign means that the records are of another shard or another layout.
	ErrForeign = errors.New("stored records belong to another shard")
)

// ErrInvariant is wrapped by what Check finds.
var ErrInvariant = errors.New("broken invariant")

// errFinished is what a Loader returns once it has given its graph away.
var errFinished = errors.New("the loader has finished")
