package raftfsm

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/shard"
)

// noops returns entries without meaning.
func noops(from, to, term uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: term, Type: raft.LogNoop})
	}
	return logs
}

// behindStore is a log of which the disk forgot that entries from 40 on were
// replaced by others, up to 100 and acknowledged: it has 1 to 50, of an older term.
func behindStore(t *testing.T) (*logFixture, *logStore) {
	t.Helper()
	f := openLogs(t, vfs.NewMem())
	s := f.stores[0]
	if err := s.StoreLogs(noops(1, 50, 2)); err != nil {
		t.Fatal(err)
	}
	if err := f.guard.update(0, func(m *mark) { m.index = 100 }); err != nil {
		t.Fatal(err)
	}
	s.behind.Store(true)
	return f, s
}

// The leader replaces what conflicts before it fills up what is missing: the
// quarantine lasts until all that was promised is there.
func TestTruncationDoesNotEndTheQuarantine(t *testing.T) {
	f, s := behindStore(t)
	defer f.close(t)
	if err := s.DeleteRange(40, 50); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][2]uint64{{40, 70}, {71, 99}, {100, 100}} {
		if m := f.guard.get(0); !s.behind.Load() || m.index != 100 {
			t.Fatalf("with %d of 100 entries: behind %v, mark %+v", s.reach(), s.behind.Load(), m)
		}
		if err := s.StoreLogs(noops(part[0], part[1], 3)); err != nil {
			t.Fatal(err)
		}
	}
	if s.reach() != 100 || s.behind.Load() {
		t.Errorf("with %d of 100 entries: behind %v", s.reach(), s.behind.Load())
	}
	if err := s.DeleteRange(90, 100); err != nil {
		t.Fatal(err)
	}
	if m := f.guard.get(0); m.index != 89 {
		t.Errorf("the mark is %+v after a truncation to 89", m)
	}
}

func TestAdoptedSnapshotDoesNotEndTheQuarantine(t *testing.T) {
	f, s := behindStore(t)
	defer f.close(t)
	s.snapshotIndex.Store(45)
	if diverged, err := s.adoptSnapshot(45, 3); err != nil || !diverged {
		t.Fatal(diverged, err)
	}
	s.checkBehind()
	if m := f.guard.get(0); !s.behind.Load() || m.index != 100 {
		t.Errorf("behind %v, mark %+v, although only 45 of 100 are there", s.behind.Load(), m)
	}
}

// leading returns the number of the node that leads.
func (c *trio) leading() int {
	c.t.Helper()
	for leader := c.leader(); ; leader = c.leader() {
		for i, n := range c.nodes {
			if n != nil && n.Group(0) == leader {
				return i
			}
		}
	}
}

// askingTransport counts answered requests for pre-votes.
type askingTransport struct {
	*raft.InmemTransport
	asked *atomic.Int32
}

func (a askingTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, req *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	defer a.asked.Add(1)
	return a.InmemTransport.RequestPreVote(id, target, req, resp)
}

// Two nodes acknowledge entries that the third misses. One of the two loses them,
// and is interrupted between the truncation and the filling up. It must not elect the third.
func TestTruncationBehindLosesNothingCommitted(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	for i := range c.o {
		c.stop(i)
		c.o[i].TrailingLogs = 1000 // no log is shortened
	}
	for i := range c.o {
		c.start(i)
	}
	c.fill(20)
	c.equal()
	a := c.leading()
	b, d := (a+1)%3, (a+2)%3
	base := c.nodes[b].Group(0).Status().LogLast
	c.stop(d)
	c.fill(60)
	c.equal()
	want := c.leader().Status().Applied
	c.stop(b)
	fs := c.o[b].FS
	forgetSnapshot(t, fs)
	changeStore(t, fs, "log", func(batch *pebble.Batch) error {
		err := batch.DeleteRange(appendLogKey(nil, 0, base+1), appendLogKey(nil, 1, 0), nil)
		for _, l := range noops(base+1, base+3, 1) { // as if they had replaced these
			err = errors.Join(err, batch.Set(appendLogKey(nil, 0, l.Index), appendLogValue(nil, 0, l), nil))
		}
		return err
	})
	c.stop(a)
	c.onLog(b, func(h *Host, s *logStore) error { // what raft does first when the leader appends
		if err := h.checkMark(0, s, nil); err != nil || !s.behind.Load() {
			t.Fatalf("behind %v, %v", s.behind.Load(), err)
		}
		return s.DeleteRange(base+1, base+3)
	})
	c.start(b)
	var asked atomic.Int32
	c.o[d].Transport = func(shard.ID) raft.Transport { return askingTransport{c.peers[d], &asked} }
	c.start(d)
	c.until("the third asked for votes often", func() bool { return asked.Load() >= 10 })
	for _, i := range []int{b, d} {
		if st := c.nodes[i].Group(0).Status(); st.Leader {
			t.Errorf("node %d leads with %d of %d acknowledged entries", i, st.LogLast, want)
		}
	}
	c.start(a)
	c.equal()
	if got := c.leader().Status().Applied; got < want {
		t.Errorf("%d of %d acknowledged entries are left", got, want)
	}
	c.until("the quarantine ended", func() bool { return !c.nodes[b].Group(0).Behind() })
}

// forgetVote takes the vote and the term of shard 0 out of a folder.
func forgetVote(t *testing.T, fs vfs.FS) {
	t.Helper()
	changeStore(t, fs, "log", func(b *pebble.Batch) error {
		return errors.Join(b.Delete(appendVoteKey(nil, 0), nil), b.Delete(appendStableKey(nil, 0, []byte(stableCurrentTerm)), nil))
	})
}

// A lost vote is not given again in its term, and costs no later one.
func TestLostVoteIsNotGivenTwice(t *testing.T) {
	c := newTrio(t)
	defer c.closeAll()
	c.fill(20)
	c.equal()
	a := c.leading()
	b, d := (a+1)%3, (a+2)%3
	for _, i := range []int{a, b, d} {
		c.stop(i)
	}
	const term = 1000
	c.onLog(b, func(_ *Host, s *logStore) error {
		return errors.Join(s.SetUint64([]byte(stableCurrentTerm), term), s.SetUint64([]byte(stableVoteTerm), term),
			s.Set([]byte(stableVoteCand), []byte("n9")))
	})
	forgetVote(t, c.o[b].FS)
	c.start(b)
	g := c.nodes[b].Group(0)
	if g.Behind() {
		t.Error("a lost vote makes the log count as behind")
	}
	last := c.nodes[b].Group(0).Status().LogLast
	_, voter := raft.NewInmemTransportWithTimeout("x", waitTime)
	voter.Connect(raft.ServerAddress(c.o[b].NodeID), c.peers[b])
	for _, tc := range []struct {
		candidate int
		term      uint64
		want      bool
	}{{a, term, false}, {d, term, false}, {d, term + 1, true}, {d, term + 1, true}, {a, term + 1, false}} {
		var resp raft.RequestVoteResponse
		candidate := c.o[tc.candidate].NodeID
		err := voter.RequestVote(raft.ServerID(c.o[b].NodeID), raft.ServerAddress(c.o[b].NodeID), &raft.RequestVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(candidate), Addr: []byte(candidate)},
			Term:      tc.term, LastLogIndex: last + 10, LastLogTerm: term,
		}, &resp)
		if err != nil || resp.Granted != tc.want {
			t.Errorf("a vote for %s in term %d: %v, %v", candidate, tc.term, resp.Granted, err)
		}
	}
	c.start(d) // the two elect one of them
	c.fill(5)
	c.equal()
}

// A node that is the only voter would elect itself, with or without a transport.
func TestSoleVoterBehindIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		servers  []raft.Server
		snapshot bool
		refused  bool
	}{
		"alone":               {[]raft.Server{{ID: "n1", Address: "n1"}}, false, true},
		"with a learner":      {[]raft.Server{{ID: "n1", Address: "n1"}, {ID: "n2", Address: "n2", Suffrage: raft.Nonvoter}}, false, true},
		"alone in a snapshot": {[]raft.Server{{ID: "n1", Address: "n1"}}, true, true},
		"with a peer":         {[]raft.Server{{ID: "n1", Address: "n1"}, {ID: "n2", Address: "n2"}}, false, false},
		"not even itself":     {[]raft.Server{{ID: "n2", Address: "n2"}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := testOptions(t, fs, 1)
			o.Transport, o.TrailingLogs = unconnected, 1
			o.Servers = func(shard.ID) []raft.Server { return tc.servers }
			h := openHost(t, o)
			g := h.Group(0)
			if tc.refused {
				h.waitLeaders(t)
				mustApply(t, g, entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 3)}))
			}
			if tc.snapshot {
				if err := g.Snapshot(); err != nil {
					t.Fatal(err)
				}
				mustApply(t, g, entryOf(&Command{Kind: CommandTrim}))
			}
			last := g.Status().LogLast
			if err := h.guard.update(0, func(m *mark) { m.index = last + 5 }); err != nil {
				t.Fatal(err)
			}
			forgetUnsaved(g)
			closeHost(t, h)
			o.Servers = nil
			h, err := tryOpenHost(o)
			if err == nil {
				defer closeHost(t, h)
			}
			if tc.refused != errors.Is(err, ErrLogBehind) || (!tc.refused && !h.Group(0).Behind()) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A crash between the log's sync and the mark leaves entries that a leader counts
// as stored without sending them again: the next start marks them.
func TestOpenMarksWhatIsThere(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	o.Transport = unconnected
	closeHost(t, openHost(t, o))
	changeStore(t, o.FS, "log", func(b *pebble.Batch) error {
		l := noops(1, 1, 1)[0]
		return b.Set(appendLogKey(nil, 0, 1), appendLogValue(nil, 0, l), nil)
	})
	h := openHost(t, o)
	defer closeHost(t, h)
	if m := h.guard.get(0); m.index != 1 {
		t.Errorf("the mark is %+v, the log has an entry", m)
	}
}

// A node that installed a snapshot and lost it has nothing: it must not vote.
func TestLostInstalledSnapshotIsNoticed(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	from := openRandom(t, o)
	defer closeHost(t, from.testHost)
	from.apply(t, 30)
	if err := from.g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	meta, stream := streamOf(t, from.g)
	o.FS, o.Transport = vfs.NewMem(), unconnected
	to := openHost(t, o) // waits to be added
	k := createSink(t, to.Group(0), meta)
	if _, err := k.Write(stream); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Close(), to.Group(0).fsm.catchUp()); err != nil {
		t.Fatal(err)
	}
	closeHost(t, to)
	again := openHost(t, o)
	if again.Group(0).Behind() {
		t.Error("behind with the snapshot")
	}
	closeHost(t, again)
	forgetSnapshot(t, o.FS)
	again = openHost(t, o)
	defer closeHost(t, again)
	if !again.Group(0).Behind() {
		t.Error("not behind without the snapshot")
	}
}
