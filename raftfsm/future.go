package raftfsm

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Future is what an entry that was handed over comes to.
type Future interface {
	// Wait returns what the entry did, once it is committed and applied. Errors:
	// ErrNotLeader, ErrOverloaded, ErrEntryTooLarge and ErrClosed, when nothing was
	// proposed; ErrUnknownOutcome, when it may or may not be committed; those of
	// decoding, when the entry is not one. It may be called again, from any goroutine.
	Wait() (*EntryResult, error)
}

// refused is the future of an entry that was not proposed.
type refused struct{ err error }

// Wait implements Future.
func (r refused) Wait() (*EntryResult, error) { return nil, r.err }

// proposal is the future of an entry that was.
type proposal struct {
	raft raft.ApplyFuture
	b    *breaker

	done   chan struct{} // closed after result and err were set
	result *EntryResult
	err    error
}

// Wait implements Future. raft does not answer any more once the node has been
// stopped by a fatal error, so that ends the wait, too.
func (p *proposal) Wait() (*EntryResult, error) {
	select {
	case <-p.done:
		return p.result, p.err
	case <-p.b.opened:
	}
	select {
	case <-p.done:
		return p.result, p.err
	default:
		return nil, errors.Join(ErrUnknownOutcome, p.b.err())
	}
}

// complete waits for raft and then lets Wait return.
func (p *proposal) complete() {
	if err := p.raft.Error(); err != nil {
		p.err = proposalError(err)
	} else {
		p.result, _ = p.raft.Response().(*EntryResult)
	}
	close(p.done)
}

// proposalError says of an error of raft whether the entry was proposed.
func proposalError(err error) error {
	for _, e := range []error{raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}
