package raftfsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

// trio is three nodes of one shard, connected in memory.
type trio struct {
	t     *testing.T
	o     [3]Options
	nodes [3]*testHost
	peers [3]*raft.InmemTransport
}

func newTrio(t *testing.T) *trio {
	c := &trio{t: t}
	var servers []raft.Server
	for i := range c.o {
		id := fmt.Sprintf("n%d", i)
		servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
		c.o[i] = testOptions(t, vfs.NewMem(), 1)
		c.o[i].NodeID = id
		c.o[i].HeartbeatTimeout = 150 * time.Millisecond
		c.o[i].CommitTimeout = 20 * time.Millisecond
		c.o[i].TrailingLogs = 10
		c.o[i].SnapshotIdle = time.Hour
	}
	for i := range c.o {
		c.o[i].Servers = func(shard.ID) []raft.Server { return servers }
		c.o[i].Transport = func(shard.ID) raft.Transport { return c.peers[i] }
		c.start(i)
	}
	return c
}

func (c *trio) start(i int) {
	c.t.Helper()
	addr := raft.ServerAddress(c.o[i].NodeID)
	_, c.peers[i] = raft.NewInmemTransportWithTimeout(addr, time.Second)
	for j, p := range c.peers {
		if p != nil && j != i {
			p.Connect(addr, c.peers[i])
			c.peers[i].Connect(p.LocalAddr(), p)
		}
	}
	c.nodes[i] = openHost(c.t, c.o[i])
}

func (c *trio) stop(i int) {
	c.t.Helper()
	closeHost(c.t, c.nodes[i])
	for j, p := range c.peers {
		if p != nil && j != i {
			p.Disconnect(raft.ServerAddress(c.o[i].NodeID))
		}
	}
	c.nodes[i], c.peers[i] = nil, nil
}

// until waits for a condition that raft's own timers bring about.
func (c *trio) until(what string, ok func() bool) {
	c.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(waitTime)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			c.t.Fatalf("never: %s", what)
		}
	}
}

func (c *trio) leader() *Group {
	c.t.Helper()
	var found *Group
	c.until("a leader", func() bool {
		for _, n := range c.nodes {
			if n != nil && n.Group(0).Ready() {
				found = n.Group(0)
				return true
			}
		}
		return false
	})
	return found
}

// apply proposes until it is applied; an unknown outcome may apply it twice.
func (c *trio) apply(entry []byte) {
	c.t.Helper()
	c.until("applied", func() bool {
		_, err := c.leader().Apply(append([]byte(nil), entry...)).Wait()
		if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) {
			c.t.Fatal(err)
		}
		return err == nil
	})
}

func (c *trio) equal() {
	c.t.Helper()
	c.until("equal replicas", func() bool {
		want := c.leader().Status().Applied
		for _, n := range c.nodes {
			if n != nil && n.Group(0).Status().Applied != want {
				return false
			}
		}
		return true
	})
	want := checksum(c.leader())
	for i, n := range c.nodes {
		if n != nil && checksum(n.Group(0)) != want {
			c.t.Errorf("node %d differs", i)
		}
	}
}

func (c *trio) closeAll() {
	for i, n := range c.nodes {
		if n != nil {
			c.stop(i)
		}
	}
}

// follower returns a node that does not lead.
func (c *trio) follower() int {
	leader := c.leader()
	for i, n := range c.nodes {
		if n != nil && n.Group(0) != leader {
			return i
		}
	}
	return -1
}

func (c *trio) fill(n int) {
	r := newRand(c.t)
	l := c.o[0].Layout
	ids := homeIDs(l, 0, 100)
	var deliver uint64
	for range n {
		c.apply(randomEntry(r, l, 0, ids, &deliver))
	}
}

func TestReplicasAreEqual(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	c.fill(100)
	c.equal()
}

// A wiped or long absent replica gets a snapshot by stream and ends equal.
func TestAbsentReplicaGetsASnapshot(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	c.fill(20)
	away := c.follower()
	c.stop(away)
	c.fill(100)
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	if first := c.leader().Status().LogFirst; first < 50 {
		t.Fatalf("the leader's log still begins at %d", first)
	}
	c.start(away)
	c.equal()
	if m := c.nodes[away].Group(0).state.meta(); m == nil || m.generation < 2 {
		t.Errorf("no snapshot was installed: %+v", m)
	}
	c.fill(10)
	c.equal()
	c.stop(away)
	c.start(away)
	c.equal()
}

// A leader whose disk hangs is replaced although its process lives on.
func TestHungLeaderIsReplaced(t *testing.T) {
	inChild(t, func(t *testing.T) {
		c := newTrio(t)
		hang := make(chan struct{})
		defer close(hang)
		var toggles [3]errorfs.Toggle
		fatal := make(chan error, 3)
		for i := range c.o {
			c.stop(i)
			toggles[i].Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync) {
					<-hang
				}
				return nil
			})
			c.o[i].FS = errorfs.Wrap(c.o[i].FS, &toggles[i])
			c.o[i].StoreTimeout = 200 * time.Millisecond
			c.o[i].Fatal = func(err error) { fatal <- err }
		}
		for i := range c.o {
			c.start(i)
		}
		c.fill(5)
		old := c.leading()
		toggles[old].On()
		c.nodes[old].Group(0).Apply(entryOf(&Command{Kind: CommandTrim})) // its outcome is unknown
		if err := <-fatal; !strings.Contains(err.Error(), "the disk hangs") {
			t.Errorf("stopped by %v", err)
		}
		if c.nodes[old].Group(0).Ready() {
			t.Error("the group is still ready")
		}
		c.until("another leads", func() bool {
			return c.nodes[(old+1)%3].Group(0).Ready() || c.nodes[(old+2)%3].Group(0).Ready()
		})
	})
}

// A follower whose log diverged beyond the snapshot that it is sent would, with
// hashicorp/raft alone, be sent that snapshot for ever.
func TestDivergedLogDoesNotLoop(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	c.fill(20)
	away := c.follower()
	c.stop(away)
	c.fill(60)
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	last := c.leader().Status().LogLast
	c.diverge(away, last+200)
	c.start(away)
	c.fill(5)
	c.equal()
}

// onLog lets do work on the log store of a stopped node, without raft.
func (c *trio) onLog(i int, do func(h *Host, s *logStore) error) {
	c.t.Helper()
	o := c.o[i].withDefaults()
	h := &Host{o: o, b: newBreaker(o.Logger)}
	if err := h.openStores(); err != nil {
		c.t.Fatal(err)
	}
	s, err := openLogStore(h.logs, 0, h.guard, h.b, &o)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := errors.Join(do(h, s), h.closeStores()); err != nil {
		c.t.Fatal(err)
	}
}

// diverge gives a stopped node entries of an old term that nobody else has, up to index.
func (c *trio) diverge(i int, index uint64) {
	c.t.Helper()
	c.onLog(i, func(_ *Host, s *logStore) error {
		_, last := s.ends()
		return s.StoreLogs(noops(last+1, index, 1))
	})
}

// A node that lost synced entries gets them back from the leader and votes again.
func TestBehindReplicaIsRepaired(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	c.fill(40)
	c.equal()
	away := c.follower()
	c.stop(away)
	forgetEntries(t, c.o[away].FS, 20)
	forgetSnapshot(t, c.o[away].FS)
	c.start(away)
	g := c.nodes[away].Group(0)
	c.until("the log is filled up", func() bool { return !g.Behind() })
	c.equal()
}
