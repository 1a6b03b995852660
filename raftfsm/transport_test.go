package raftfsm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// bareTransport hides the pre-vote of what is inside.
type bareTransport struct{ raft.Transport }

func TestTransportWithoutPreVoteIsRefused(t *testing.T) {
	_, inner := raft.NewInmemTransport("a")
	if _, err := newGuardedTransport(bareTransport{inner}, testBreaker(), func() bool { return false }); !errors.Is(err, ErrOptions) {
		t.Errorf("a transport without pre-vote: %v", err)
	}
}

// heartbeatTransport notes whether a heartbeat handler is set.
type heartbeatTransport struct {
	*raft.InmemTransport
	set bool
}

func (h *heartbeatTransport) SetHeartbeatHandler(func(raft.RPC)) { h.set = true }

func TestHeartbeatHandlerIsNeverSet(t *testing.T) {
	_, inner := raft.NewInmemTransport("a")
	h := &heartbeatTransport{InmemTransport: inner}
	g, err := newGuardedTransport(h, testBreaker(), func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	g.SetHeartbeatHandler(func(raft.RPC) {})
	if h.set {
		t.Error("the handler came through")
	}
	if g.Consumer() != inner.Consumer() {
		t.Error("requests make a detour though nothing is behind")
	}
}

// While the log is behind, votes are neither granted nor asked for; the rest passes.
func TestVotesAreWithheldWhileBehind(t *testing.T) {
	_, a := raft.NewInmemTransportWithTimeout("a", waitTime)
	_, b := raft.NewInmemTransportWithTimeout("b", waitTime)
	a.Connect("b", b)
	b.Connect("a", a)
	var behind atomic.Bool
	behind.Store(true)
	g, err := newGuardedTransport(b, testBreaker(), behind.Load)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	stop := make(chan struct{})
	go func() { // stands for raft's main loop
		defer close(served)
		for {
			select {
			case rpc := <-g.Consumer():
				switch rpc.Command.(type) {
				case *raft.RequestVoteRequest:
					rpc.Respond(&raft.RequestVoteResponse{Granted: true}, nil)
				case *raft.RequestPreVoteRequest:
					rpc.Respond(&raft.RequestPreVoteResponse{Granted: true}, nil)
				default:
					rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
				}
			case <-stop:
				return
			}
		}
	}()
	ask := func() (error, error, error) {
		var vote raft.RequestVoteResponse
		var pre raft.RequestPreVoteResponse
		var app raft.AppendEntriesResponse
		return a.RequestVote("b", "b", &raft.RequestVoteRequest{}, &vote),
			a.RequestPreVote("b", "b", &raft.RequestPreVoteRequest{}, &pre),
			a.AppendEntries("b", "b", &raft.AppendEntriesRequest{}, &app)
	}
	vote, pre, app := ask()
	if !errors.Is(vote, ErrVoteWithheld) || !errors.Is(pre, ErrVoteWithheld) || app != nil {
		t.Errorf("behind: vote %v, pre-vote %v, append %v", vote, pre, app)
	}
	if err := g.RequestVote("a", "a", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); !errors.Is(err, ErrVoteWithheld) {
		t.Errorf("asked for a vote while behind: %v", err)
	}
	err = g.RequestPreVote("a", "a", &raft.RequestPreVoteRequest{}, &raft.RequestPreVoteResponse{})
	if !errors.Is(err, ErrVoteWithheld) {
		t.Errorf("asked for a pre-vote while behind: %v", err)
	}
	behind.Store(false)
	if vote, pre, app = ask(); vote != nil || pre != nil || app != nil {
		t.Errorf("caught up: vote %v, pre-vote %v, append %v", vote, pre, app)
	}
	close(stop)
	<-served
	g.close()
}

// After a fatal error nothing is sent that would keep followers waiting.
func TestNothingIsSentOnceTheBreakerIsOpen(t *testing.T) {
	_, a := raft.NewInmemTransportWithTimeout("a", waitTime)
	_, b := raft.NewInmemTransportWithTimeout("b", waitTime)
	a.Connect("b", b)
	breaker := testBreaker()
	g, err := newGuardedTransport(a, breaker, func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	p, err := g.AppendEntriesPipeline("b", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	breaker.trip(errors.New("broken"))
	_, pipelined := p.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
	_, opened := g.AppendEntriesPipeline("b", "b")
	for name, err := range map[string]error{
		"pipelined":     pipelined,
		"open pipeline": opened,
		"append":        g.AppendEntries("b", "b", &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}),
		"vote":          g.RequestVote("b", "b", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}),
		"pre-vote":      g.RequestPreVote("b", "b", &raft.RequestPreVoteRequest{}, &raft.RequestPreVoteResponse{}),
		"snapshot":      g.InstallSnapshot("b", "b", &raft.InstallSnapshotRequest{}, &raft.InstallSnapshotResponse{}, nil),
	} {
		if !errors.Is(err, ErrStopped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A request that arrives while the filter closes is answered.
func TestFilterAnswersWhenItCloses(t *testing.T) {
	_, inner := raft.NewInmemTransport("a")
	peerAddr, peer := raft.NewInmemTransportWithTimeout("p", time.Minute)
	_ = peerAddr
	peer.Connect("a", inner)
	g, err := newGuardedTransport(inner, testBreaker(), func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { // nobody consumes
		answer <- peer.AppendEntries("a", "a", &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
	}()
	for len(inner.Consumer()) > 0 { // taken by the filter, or not sent yet: both must be answered
		continue
	}
	g.close()
	select {
	case rpc := <-inner.Consumer():
		rpc.Respond(nil, ErrClosed)
	case err := <-answer:
		answer <- err
	}
	if err := <-answer; err == nil {
		t.Error("a request to a closing node succeeded")
	}
}
