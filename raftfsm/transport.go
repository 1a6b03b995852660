package raftfsm

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// guardedTransport stands between a raft instance and its peers.
//
// It keeps raft's fast path for heartbeats from being set: handled off the main
// loop, a heartbeat can change the term under a leader that is appending, and
// logs diverge. And while the log is behind its high-water mark it neither grants
// votes nor asks for them: a voter that forgot entries could elect a leader
// without them.
//
// Once the breaker is open it sends nothing more in raft's name: a leader whose
// main loop hangs on its disk would go on heartbeating, and its followers would
// wait for it instead of electing another. Everything else passes.
type guardedTransport struct {
	raft.Transport
	preVote raft.WithPreVote
	b       *breaker
	behind  func() bool

	consumer <-chan raft.RPC
	stop     chan struct{}
	stopped  chan struct{}
}

var _ raft.WithPreVote = (*guardedTransport)(nil)

// newGuardedTransport wraps a transport, which must know pre-votes. The caller
// closes the wrapper, and owns what is inside.
func newGuardedTransport(inner raft.Transport, b *breaker, behind func() bool) (*guardedTransport, error) {
	preVote, ok := inner.(raft.WithPreVote)
	if !ok {
		return nil, fmt.Errorf("%w: the transport %T has no pre-vote", ErrOptions, inner)
	}
	t := &guardedTransport{
		Transport: inner, preVote: preVote, b: b, behind: behind,
		consumer: inner.Consumer(), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if !behind() { // nor will it ever be: a log falls behind while nobody watches
		close(t.stopped)
		return t, nil
	}
	filtered := make(chan raft.RPC)
	t.consumer = filtered
	go t.filter(inner.Consumer(), filtered)
	return t, nil
}

func (t *guardedTransport) filter(from <-chan raft.RPC, to chan<- raft.RPC) {
	defer close(t.stopped)
	for {
		var rpc raft.RPC
		select {
		case rpc = <-from:
		case <-t.stop:
			return
		}
		if t.behind() && asksForVote(rpc.Command) {
			rpc.Respond(nil, ErrVoteWithheld)
			continue
		}
		select {
		case to <- rpc:
		case <-t.stop:
			rpc.Respond(nil, ErrClosed)
			return
		}
	}
}

// asksForVote says whether a request asks this node to vote, or to become a candidate.
func asksForVote(command any) bool {
	switch command.(type) {
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
		return true
	}
	return false
}

// Consumer implements raft.Transport.
func (t *guardedTransport) Consumer() <-chan raft.RPC { return t.consumer }

// SetHeartbeatHandler implements raft.Transport. It does nothing: heartbeats
// come by the consumer, like all else.
func (t *guardedTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// RequestVote implements raft.Transport.
func (t *guardedTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, req *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	if err := t.mayCampaign(); err != nil {
		return err
	}
	return t.Transport.RequestVote(id, target, req, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *guardedTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, req *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	if err := t.mayCampaign(); err != nil {
		return err
	}
	return t.preVote.RequestPreVote(id, target, req, resp)
}

func (t *guardedTransport) mayCampaign() error {
	if t.behind() {
		return ErrVoteWithheld
	}
	return t.b.err()
}

// AppendEntries implements raft.Transport. Heartbeats are such requests too.
func (t *guardedTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, req *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	if err := t.b.err(); err != nil {
		return err
	}
	return t.Transport.AppendEntries(id, target, req, resp)
}

// AppendEntriesPipeline implements raft.Transport.
func (t *guardedTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if err := t.b.err(); err != nil {
		return nil, err
	}
	p, err := t.Transport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return guardedPipeline{AppendPipeline: p, b: t.b}, nil
}

// guardedPipeline is a pipeline that was opened before the breaker was.
type guardedPipeline struct {
	raft.AppendPipeline
	b *breaker
}

// AppendEntries implements raft.AppendPipeline.
func (p guardedPipeline) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if err := p.b.err(); err != nil {
		return nil, err
	}
	return p.AppendPipeline.AppendEntries(req, resp)
}

// InstallSnapshot implements raft.Transport.
func (t *guardedTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, req *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.b.err(); err != nil {
		return err
	}
	return t.Transport.InstallSnapshot(id, target, req, resp, data)
}

// close ends the filter. The raft instance must have ended before.
func (t *guardedTransport) close() {
	close(t.stop)
	<-t.stopped
}
