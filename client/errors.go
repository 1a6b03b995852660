package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kithgraph/kith/wire"
)

// Errors that compare equal, by errors.Is, to every *Error of their code.
const (
	// ErrBadRequest: the request as a whole is malformed or over a limit; nothing was done.
	ErrBadRequest = codeError(wire.BadRequest)
	// ErrSelfFollow: a user was to follow itself. Only ever the error of a single id.
	ErrSelfFollow = codeError(wire.SelfFollow)
	// ErrBadCursor: the cursor was not given out by this cluster for this list.
	ErrBadCursor = codeError(wire.BadCursor)
	// ErrDenied: the server refuses these credentials.
	ErrDenied = codeError(wire.Denied)
	// ErrUnavailable: the request was surely not carried out, as there is no
	// connection, no leader, or too much load.
	ErrUnavailable = codeError(wire.Unavailable)
	// ErrTimeout: no answer in time. The outcome is unknown; a write may still happen.
	ErrTimeout = codeError(wire.Timeout)
	// ErrFollowingFull: the user follows as many users as the cluster allows.
	ErrFollowingFull = codeError(wire.FollowingFull)
	// ErrNotLeader: another node leads the user's shard; Error.Leader names it if known.
	ErrNotLeader = codeError(wire.NotLeader)
)

// Errors of the client's own making, found by errors.Is beneath an *Error.
var (
	// ErrClosed: the client was closed before or during the call.
	ErrClosed = errors.New("the client is closed")
	// ErrProtocol: the server sent what the protocol does not allow. The
	// connection that it came by has been closed.
	ErrProtocol = errors.New("the server broke the protocol")
	// ErrConnectionLost: the connection ended while the call waited for its answer.
	ErrConnectionLost = errors.New("the connection was lost")
	// ErrImportEnded: an Importer was used after its Close.
	ErrImportEnded = errors.New("the import has ended")
	// ErrOptions: Options hold a value that they may not.
	ErrOptions = errors.New("wrong client options")
)

// errStalled is the cause when a stream's next frame did not come in CallTimeout.
// Unlike a deadline of the caller's it does not forbid another attempt.
var errStalled = errors.New("no frame in time")

// codeError is a status code as a comparable, constant error.
type codeError wire.Code

func (c codeError) Error() string { return "kith: " + wire.Code(c).String() }

// Error is the error of a call: what the server answered, or, where it did not
// answer, what the client knows about the outcome. errors.Is matches it with the
// sentinel of its code and with its cause, which may be context.Canceled,
// context.DeadlineExceeded, ErrClosed, ErrProtocol or an error of the network.
type Error struct {
	// Code is never wire.OK.
	Code wire.Code
	// Message says in a sentence what is wrong; may be empty.
	Message string
	// Leader is the address of the node to ask instead. Only with
	// wire.NotLeader, and empty while there is no leader.
	Leader string

	cause error
}

// Error returns the code, the message and the cause in one line.
func (e *Error) Error() string {
	text := codeError(e.Code).Error()
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Leader != "" {
		text += " (leader: " + e.Leader + ")"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns what lies beneath, or nil when the server itself gave the error.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	code, ok := target.(codeError)
	return ok && wire.Code(code) == e.Code
}

// SafeToRetry reports whether it is safe and useful to make the same call again:
// the server was unavailable, another node leads, or the outcome of the call is
// unknown (every write may be repeated, see the package comment). It is false
// for nil and for errors that would only come again.
func SafeToRetry(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Code.SafeToRetry()
	}
	var code codeError
	return errors.As(err, &code) && wire.Code(code).SafeToRetry()
}

// codeErr turns the code of one id into an error, nil for ok.
func codeErr(code wire.Code) error {
	if code == wire.OK {
		return nil
	}
	return codeError(code)
}

func badRequest(format string, args ...any) *Error {
	return &Error{Code: wire.BadRequest, Message: fmt.Sprintf(format, args...)}
}

func unavailable(message string, cause error) *Error {
	return &Error{Code: wire.Unavailable, Message: message, cause: cause}
}

func unknownOutcome(message string, cause error) *Error {
	return &Error{Code: wire.Timeout, Message: message, cause: cause}
}

// protocolError describes a breach of the protocol by the server.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// withCause returns e as the result of a call whose time ran out while it was
// being repeated: the last answer says why, the cause that there is no time left.
func (e *Error) withCause(cause error) *Error {
	with := *e
	if e.cause != nil {
		cause = errors.Join(e.cause, cause)
	}
	with.cause = cause
	return &with
}

// final reports that no further attempt can help, whatever the code.
func (e *Error) final() bool {
	return errors.Is(e, ErrClosed) || errors.Is(e, context.Canceled) || errors.Is(e, context.DeadlineExceeded)
}

// endOf returns why a context or a default deadline ended a wait.
func endOf(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
