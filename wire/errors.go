package wire

import (
	"errors"
	"fmt"
)

// Errors of framing.
var (
	// ErrIncomplete says that the frame has not wholly arrived: read more bytes.
	ErrIncomplete = errors.New("the frame is not complete yet")
	// ErrFrameTooLarge says that a header announces more than was agreed. The
	// connection cannot go on, for its next frame cannot be found.
	ErrFrameTooLarge = errors.New("the frame is larger than was agreed")
)

// Errors of the opening of a connection.
var (
	// ErrBadMagic says that the other side speaks another protocol.
	ErrBadMagic = errors.New("this is not the kith protocol")
	// ErrNoHello says that the first frame is not a hello.
	ErrNoHello = errors.New("the first frame must be a hello")
	// ErrUnsupportedVersion says that the two sides have no version in common.
	ErrUnsupportedVersion = errors.New("no version of the protocol in common")
	// ErrBadHelloReply says that the server agreed to something that was not offered.
	ErrBadHelloReply = errors.New("the server's hello does not fit what was offered")
)

// Errors of decoding a body. The frame's bounds are known, so the connection can
// go on; a server answers bad_request.
var (
	// ErrTruncated says that the body ends before the message does.
	ErrTruncated = errors.New("the message is truncated")
	// ErrTrailingBytes says that the body goes on after the message's end.
	ErrTrailingBytes = errors.New("bytes after the message's end")
	// ErrReservedFlags says that a flag is set that has no meaning yet.
	ErrReservedFlags = errors.New("a reserved flag is set")
	// ErrMalformed says that a field holds what no encoder writes.
	ErrMalformed = errors.New("the message is malformed")
	// ErrEmptyList says that a list that must name somebody is empty.
	ErrEmptyList = errors.New("at least one user id is needed")
)

// LimitError says that a message holds more of something than is allowed.
type LimitError struct {
	// What is counted, in the plural.
	What string
	// Limit is the largest number allowed.
	Limit int
}

func (e *LimitError) Error() string { return fmt.Sprintf("at most %d %s", e.Limit, e.What) }
