package server

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// raftWriter is a writer over real groups.
type raftWriter struct {
	*writer
	host *raftfsm.Host
}

func openRaftWriter(t *testing.T, fs vfs.FS, stuck bool) *raftWriter {
	t.Helper()
	layout, err := shard.NewLayout(4)
	if err != nil {
		t.Fatal(err)
	}
	// A shard may be ready before the writer exists, or after it.
	var current atomic.Pointer[writer]
	ready := make(chan struct{}, 16)
	host, err := raftfsm.Open(raftfsm.Options{
		FS: fs, Dir: "data", Layout: layout, NodeID: "n1", Now: time.Now,
		OnLeader: func(s shard.ID, leads bool) {
			if w := current.Load(); w != nil {
				w.onLeader(s, leads)
			}
			if leads {
				ready <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &raftWriter{host: host}
	o := writerOptions{layout: layout, now: time.Now, limits: Limits{Visibility: 100 * time.Millisecond}}
	if stuck {
		unreachable := &fakePeers{}
		unreachable.misbehave(func(shard.ID, []byte, func(uint64, error)) {})
		o.peers = unreachable
	}
	for s := range layout.Shards() {
		o.groups = append(o.groups, host.Group(shard.ID(s)))
	}
	r.writer = newWriter(o)
	current.Store(r.writer)
	for range layout.Shards() {
		<-ready
	}
	for s := range layout.Shards() {
		r.onLeader(shard.ID(s), host.Group(shard.ID(s)).Ready())
	}
	return r
}

func (r *raftWriter) close(t *testing.T) {
	t.Helper()
	r.writer.close(t.Context())
	if err := r.host.Close(); err != nil {
		t.Error(err)
	}
	r.wait()
}

// followAll lets every user follow the next three, and counts the answers.
func (r *raftWriter) followAll(t *testing.T, users int) (changed, pending int) {
	t.Helper()
	answers := make(chan *edgeWrite, users)
	for i := range users {
		e := follow(modelUser(i), modelUser((i+1)%users), modelUser((i+2)%users), modelUser((i+3)%users))
		e.Done = func(e *edgeWrite) { answers <- e }
		r.start(e)
	}
	for range users {
		e := <-answers
		if e.Pending {
			pending++
		}
		for i := range e.Targets {
			switch {
			case e.Code != wire.OK || e.Results[i].Code() != wire.OK:
				t.Errorf("%s: %s (%s)", e.Me, results(e), e.Message)
				return changed, pending
			case !e.Results[i].Unchanged():
				changed++
			}
		}
	}
	return changed, pending
}

func TestWritesOverRaft(t *testing.T) {
	const users = 200
	fs := vfs.NewMem()
	r := openRaftWriter(t, fs, true)
	if changed, pending := r.followAll(t, users); changed != 3*users || pending == 0 {
		t.Errorf("%d follows, %d pending", changed, pending)
	}
	r.close(t)

	r = openRaftWriter(t, fs, false)
	defer r.close(t)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if changed, pending := r.followAll(t, users); changed != 0 {
			t.Fatalf("%d acknowledged follows were not there after the restart", changed)
		} else if pending == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what the restarted node found in its outboxes was not delivered")
		}
	}
	for s := range r.shards {
		graph := r.host.Group(shard.ID(s)).RLock()
		for i := range users {
			me := graph.Lookup([]byte(modelUser(i)))
			if me == shard.NoUID {
				continue
			}
			if c := graph.Counts(me); c.Followers != 3 || c.Following != 3 {
				t.Errorf("%s: %+v", modelUser(i), c)
			}
		}
		r.host.Group(shard.ID(s)).RUnlock()
	}
}
