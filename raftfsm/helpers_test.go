package raftfsm

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

func TestMain(m *testing.M) {
	if os.Getenv("KITH_TEST_CHILD") != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// testTime is the time of the entries that tests make.
const testTime = 1_700_000_000

// waitTime bounds every wait of a test.
const waitTime = 20 * time.Second

// newRand returns a source of random choices whose seed is printed.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("KITH_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("KITH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func layout(t testing.TB, shards int) shard.Layout {
	t.Helper()
	l, err := shard.NewLayout(shards)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// testOptions are those of a lone node on a disk of memory.
func testOptions(t testing.TB, fs vfs.FS, shards int) Options {
	o := Options{
		FS: fs, Dir: "data", Layout: layout(t, shards), NodeID: "n1",
		Now:                func() time.Time { return time.Unix(testTime, 0) },
		HeartbeatTimeout:   50 * time.Millisecond,
		LogMemTableBytes:   1 << 20,
		StateMemTableBytes: 1 << 20,
		Fatal:              func(err error) { t.Errorf("fatal: %v", err) },
	}
	if testing.Verbose() && os.Getenv("KITH_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o
}

// testHost is a host whose leaders can be waited for.
type testHost struct {
	*Host
	ready chan shard.ID
}

func openHost(t testing.TB, o Options) *testHost {
	t.Helper()
	h, err := tryOpenHost(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func tryOpenHost(o Options) (*testHost, error) {
	h := &testHost{ready: make(chan shard.ID, 1024)}
	o.OnLeader = func(s shard.ID, ready bool) {
		if ready {
			h.ready <- s
		}
	}
	var err error
	h.Host, err = Open(o)
	return h, err
}

// waitLeaders returns when every shard had a leader once.
func (h *testHost) waitLeaders(t testing.TB) {
	t.Helper()
	missing := map[shard.ID]bool{}
	for s := range h.groups {
		missing[shard.ID(s)] = true
	}
	limit := time.After(waitTime)
	for len(missing) > 0 {
		select {
		case s := <-h.ready:
			delete(missing, s)
		case <-limit:
			t.Fatalf("no leader of %v", missing)
		}
	}
}

func closeHost(t testing.TB, h *testHost) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// mustApply applies an entry and returns its results.
func mustApply(t testing.TB, g *Group, entry []byte) *EntryResult {
	t.Helper()
	r, err := g.Apply(entry).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func entryOf(commands ...*Command) []byte {
	e := AppendEntryHeader(nil, testTime)
	for _, c := range commands {
		e = AppendCommand(e, c)
	}
	return e
}

func checksum(g *Group) (sum uint64) {
	g.View(func(graph *engine.Graph) { sum = graph.Checksum() })
	return sum
}

// homeIDs returns n user ids that live in the shard.
func homeIDs(l shard.Layout, s shard.ID, n int) [][]byte {
	var ids [][]byte
	for i := 0; len(ids) < n; i++ {
		id := fmt.Appendf(nil, "user%d", i)
		if l.Home(id) == s {
			ids = append(ids, id)
		}
	}
	return ids
}

// randomEntry returns an entry of a shard with users users, of all kinds of commands.
func randomEntry(r *rand.Rand, l shard.Layout, s shard.ID, ids [][]byte, deliver *uint64) []byte {
	e := AppendEntryHeader(nil, testTime+r.Uint32N(1000))
	uid := func(home shard.ID) shard.UID { return l.UID(r.Uint32N(uint32(len(ids))), home) }
	for range 1 + r.IntN(6) {
		var c Command
		switch k := r.IntN(10); {
		case k < 2:
			c = Command{Kind: CommandRegister, UserIDs: [][]byte{ids[r.IntN(len(ids))], ids[r.IntN(len(ids))]}}
		case k < 6:
			c = Command{Kind: CommandFollow, Me: uid(s)}
			for range 1 + r.IntN(20) {
				c.Targets = append(c.Targets, uid(shard.ID(r.IntN(l.Shards()))))
			}
			if r.IntN(2) == 0 {
				for range c.Targets {
					c.Times = append(c.Times, r.Uint32N(2)*(testTime-r.Uint32N(100_000)))
				}
			}
		case k < 8:
			c = Command{Kind: CommandUnfollow, Me: uid(s), Targets: []shard.UID{uid(s), uid(shard.ID(r.IntN(l.Shards())))}}
		case k < 9 && l.Shards() > 1:
			from := (s + 1) % shard.ID(l.Shards())
			c = Command{Kind: CommandDeliver, From: from, First: *deliver + 1}
			for range 1 + r.IntN(100) {
				c.Items = append(c.Items, engine.Item{Source: uid(from), Target: uid(s), Time: testTime})
			}
			*deliver += uint64(len(c.Items))
		default:
			c = Command{Kind: CommandTrim, To: (s + 1) % shard.ID(l.Shards()), Applied: r.Uint64N(50)}
		}
		e = AppendCommand(e, &c)
	}
	return e
}

// replayed returns the checksum of a fresh state machine that was given the entries.
func replayed(t testing.TB, l shard.Layout, s shard.ID, entries [][]byte) uint64 {
	t.Helper()
	graph, err := engine.New(engine.Options{Layout: l, Shard: s})
	if err != nil {
		t.Fatal(err)
	}
	f := &fsm{grown: func() {}}
	f.mu.graph = graph
	for i, e := range entries {
		f.Apply(testLog(uint64(i+1), e))
	}
	if err := graph.Check(); err != nil {
		t.Fatal(err)
	}
	return graph.Checksum()
}

// testBreaker is one whose opening is told to nobody.
func testBreaker() *breaker { return newBreaker(Options{}.withDefaults().Logger) }

// forgetUnsaved makes a group believe that all it applied is in its snapshot, so that Close takes none.
func forgetUnsaved(g *Group) {
	g.fsm.mu.Lock()
	defer g.fsm.mu.Unlock()
	g.fsm.mu.saved = g.fsm.mu.total
}

// changeStore changes one of the stores of a closed folder, as a broken disk would.
func changeStore(t *testing.T, fs vfs.FS, name string, change func(*pebble.Batch) error) {
	t.Helper()
	db, err := openPebble("data/"+name, func() *pebble.Options { return pebbleOptions(fs, testBreaker(), 1<<20) })
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	if err := errors.Join(change(b), b.Commit(pebble.Sync), b.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// forgetEntries takes the entries from an index on out of shard 0's log.
func forgetEntries(t *testing.T, fs vfs.FS, from uint64) {
	t.Helper()
	changeStore(t, fs, "log", func(b *pebble.Batch) error {
		return b.DeleteRange(appendLogKey(nil, 0, from), appendLogKey(nil, 1, 0), nil)
	})
}

// forgetSnapshot takes the snapshots out of a folder.
func forgetSnapshot(t *testing.T, fs vfs.FS) {
	t.Helper()
	changeStore(t, fs, "state", func(b *pebble.Batch) error {
		return b.DeleteRange([]byte{stateKeyMeta}, []byte{stateKeyRecord + 1}, nil)
	})
}

// unconnected is the transport of a node that has no peers, but might.
func unconnected(shard.ID) raft.Transport {
	_, t := raft.NewInmemTransport("n1")
	return t
}

// inChild runs a test in a process of its own: after a fatal error goroutines of
// Pebble and raft stay behind, as they do in a node that is about to end.
func inChild(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv("KITH_TEST_CHILD") != "" {
		test(t)
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout=60s")
	c.Env = append(os.Environ(), "KITH_TEST_CHILD=1")
	out, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(out), "no tests to run") {
		t.Errorf("%v\n%s", err, out)
	}
}
