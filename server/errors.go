package server

import "errors"

// Errors of starting.
var (
	// ErrOptions is returned for Options that cannot be served.
	ErrOptions = errors.New("server options")
	// ErrNotOurs is returned for a data folder that holds something else than a
	// node's data.
	ErrNotOurs = errors.New("the data folder is neither empty nor a kith data folder")
	// ErrIdentityVersion is returned for a data folder of another format version.
	ErrIdentityVersion = errors.New("the data folder has a format that this version does not know")
	// ErrIdentityDamaged is returned when the identity file cannot be believed.
	ErrIdentityDamaged = errors.New("the identity file of the data folder is damaged")
	// ErrShardCount is returned when the data folder has another number of shards
	// than the one asked for.
	ErrShardCount = errors.New("the data folder has another number of shards")
	// ErrFolderInUse is returned when another process uses the data folder.
	ErrFolderInUse = errors.New("the data folder is in use by another process")
)

// Errors of serving.
var (
	// ErrForced is returned by Shutdown when its context ended before every
	// accepted request was answered.
	ErrForced = errors.New("shutdown closed connections before all their requests were answered")

	// ErrStopped is returned by Start when the node failed or ctx ended before all
	// its shards were ready.
	ErrStopped = errors.New("the node stopped before it was ready")

	errBadCursor     = errors.New("the cursor is not one that this cluster gave for this list")
	errUnnamed       = errors.New("this node has not heard of all these users yet")
	errTooMany       = errors.New("the server has as many connections as it takes")
	errTooManyOfHost = errors.New("the server has as many connections from this address as it takes")
	errNoCredit      = errors.New("the export was without credit for too long; it can go on where it ended")
	errListenerEnd   = errors.New("the listener was closed under the server")
)

// Reasons for which a connection ends, for the log and the closing error frame.
var (
	errStopping  = errors.New("the server is shutting down")
	errEnding    = errors.New("the connection takes no more requests")
	errCrowded   = errors.New("too many newer connections were waiting for their hello")
	errUnread    = errors.New("the server's memory for answers that are not read is used up")
	errIdle      = errors.New("the connection was silent for too long")
	errSlowFrame = errors.New("a frame took too long to arrive")
	errNoMemory  = errors.New("the server's memory for requests is used up")
	errRequestID = errors.New("request id 0 is kept for errors of the whole connection")
	errDenied    = errors.New("the credentials were refused")
)
