package neighbors

import "errors"

// Errors of loading stored chunks.
var (
	// ErrTruncated is returned for a stored chunk that ends too early.
	ErrTruncated = errors.New("stored chunk is truncated")
	// ErrCorrupt is returned for a stored chunk, or a sequence of chunks, that
	// this package cannot have written.
	ErrCorrupt = errors.New("stored chunk is corrupt")
)
