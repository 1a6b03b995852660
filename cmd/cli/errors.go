package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/wire"
)

// Exit statuses. They are part of the contract with scripts.
const (
	exitOK          = 0
	exitRefused     = 1 // by the server, or the work was not finished
	exitUsage       = 2
	exitUnreachable = 3
)

// unreachableError says that no answer came.
type unreachableError struct {
	addr string
	err  *client.Error
}

func (e *unreachableError) Error() string {
	cause := rootCause(e.err)
	switch {
	case e.err.Code == wire.Timeout:
		return fmt.Sprintf("no answer from %s in time, so it is not known what became of the request: %v; it is safe to repeat it, perhaps with a longer --timeout",
			e.addr, cause)
	case errors.Is(cause, client.ErrProtocol):
		return fmt.Sprintf("%s does not answer as kithd does: %v; check --addr, --tls and the versions of both", e.addr, cause)
	}
	return fmt.Sprintf("cannot reach %s: %v; is kithd running there? --addr or KITH_ADDR names another node", e.addr, cause)
}

// rootCause leaves away the client's words around what went wrong, which are those
// of this program too.
func rootCause(e *client.Error) error {
	cause := e.Unwrap()
	var inner *client.Error
	if !errors.As(cause, &inner) {
		return cause
	}
	if inner.Unwrap() == nil {
		return errors.New(inner.Message)
	}
	return rootCause(inner)
}

func (e *unreachableError) Unwrap() error { return e.err }

// explain turns an error of the client into one that says what to do. Other errors
// it returns as they are.
func explain(addr string, err error) error {
	var e *client.Error
	switch {
	case errors.Is(err, client.ErrOptions):
		return console.Usagef("%v", err)
	case !errors.As(err, &e) || isExplained(err):
		return err
	case !isAnswer(e):
		return &unreachableError{addr, e}
	}
	text := e.Code.String()
	if e.Message != "" {
		text += ": " + e.Message
	}
	if todo := todo(e); todo != "" {
		text += "; " + todo
	}
	return &refusedError{text, e}
}

func isExplained(err error) bool {
	var unreachable *unreachableError
	var refused *refusedError
	return errors.As(err, &unreachable) || errors.As(err, &refused)
}

// isAnswer tells whether the code is what the server said, perhaps again and again
// until there was no time left, rather than what the client made of its silence.
func isAnswer(e *client.Error) bool {
	cause := e.Unwrap()
	return cause == nil || cause == context.DeadlineExceeded && e.Code != wire.Timeout
}

// refusedError is the server's answer in words.
type refusedError struct {
	text string
	err  error
}

func (e *refusedError) Error() string { return e.text }

func (e *refusedError) Unwrap() error { return e.err }

// todo says what can be done about an answer, where its message cannot know.
func todo(e *client.Error) string {
	switch e.Code {
	case wire.BadCursor:
		return "start again without --cursor"
	case wire.Denied:
		return "give the node's secret by --token-file"
	case wire.Unavailable:
		return "nothing was changed; try again in a moment"
	case wire.Timeout:
		return "it is not known what became of the request; it is safe to repeat it"
	case wire.NotLeader:
		if e.Leader != "" {
			return "ask the leader: --addr " + e.Leader
		}
		return "there is no leader just now; try again in a moment"
	}
	return ""
}

// exitStatus is the status that an error ends the process with.
func exitStatus(err error) int {
	var unreachable *unreachableError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, console.ErrUsage):
		return exitUsage
	case errors.As(err, &unreachable) && !errors.Is(err, context.Canceled):
		return exitUnreachable
	}
	return exitRefused
}
