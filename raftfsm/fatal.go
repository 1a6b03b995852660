package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// breaker stops the node after an error that must not be survived: a log write
// that failed or hung, a fatal error of Pebble, a broken invariant. It opens once.
//
// A goroutine that met such an error must neither go on, for it would work on a
// state that cannot be trusted, nor end, for it may hold locks of Pebble whose
// release would let others go on. So it is parked until the host gives up its
// stores, and then ends without returning. In a real node the process ends first.
type breaker struct {
	logger *slog.Logger
	opened chan struct{} // closed by the first trip
	freed  chan struct{} // closed by release

	mu struct {
		sync.Mutex
		cause    error
		notify   func(error) // nil until arm: before that Open reports the cause
		released bool
	}
}

func newBreaker(logger *slog.Logger) *breaker {
	return &breaker{logger: logger, opened: make(chan struct{}), freed: make(chan struct{})}
}

// trip opens the breaker with its cause. Later causes are only logged.
func (b *breaker) trip(cause error) {
	b.mu.Lock()
	first := b.mu.cause == nil
	if first {
		b.mu.cause = cause
		close(b.opened)
	}
	notify := b.mu.notify
	b.mu.Unlock()
	b.logger.Error("the node must stop", "cause", cause, "first", first)
	if first && notify != nil {
		go notify(cause)
	}
}

// arm has notify called, on a goroutine of its own, when the breaker opens, or
// returns the cause if it is open already.
func (b *breaker) arm(notify func(error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.notify = notify
	return b.stopped()
}

// err returns nil, or an error that wraps ErrStopped and the cause.
func (b *breaker) err() error {
	select {
	case <-b.opened:
	default:
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped()
}

func (b *breaker) stopped() error {
	if b.mu.cause == nil {
		return nil
	}
	return errors.Join(ErrStopped, b.mu.cause)
}

// stop trips the breaker and parks the calling goroutine. It does not return.
func (b *breaker) stop(cause error) {
	b.trip(cause)
	b.park()
}

// park holds the calling goroutine until release and then ends it.
func (b *breaker) park() {
	<-b.freed
	runtime.Goexit()
}

// release ends all parked goroutines. The stores must not be used any more.
func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.released {
		b.mu.released = true
		close(b.freed)
	}
}

// watch trips the breaker when what is done before the returned function is
// called takes longer than the timeout: a disk that hangs keeps a leader
// heartbeating while nothing is stored.
func (b *breaker) watch(what string, timeout time.Duration) (done func() bool) {
	return time.AfterFunc(timeout, func() {
		b.trip(fmt.Errorf("%s took longer than %s: the disk hangs", what, timeout))
	}).Stop
}

// background is told of failures of Pebble that it answers by trying again, at
// once and for ever. On a full disk that would hang the node, and keep a CPU busy.
func (b *breaker) background(err error) {
	if b.err() != nil {
		return // it goes on trying until the process ends
	}
	b.logger.Warn("pebble failed in the background", "error", err.Error()) // without its stack
	if vfs.IsNoSpaceError(err) {
		b.trip(fmt.Errorf("the disk is full: %w", err))
	}
}

// pebbleLogger passes Pebble's messages on to slog, and its fatal errors to the
// breaker instead of ending the process on the spot.
type pebbleLogger struct {
	logger *slog.Logger
	b      *breaker
}

// Infof implements pebble.Logger. What Pebble tells is of interest to few.
func (l pebbleLogger) Infof(format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.logger.Debug(fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Warn(fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It does not return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.b.stop(fmt.Errorf("pebble: "+format, args...))
}
