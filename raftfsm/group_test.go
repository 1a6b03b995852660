package raftfsm

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

func TestResultsByKind(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 2)
	h := openHost(t, o)
	defer closeHost(t, h)
	h.waitLeaders(t)
	g := h.Group(0)
	ids, foreign := homeIDs(o.Layout, 0, 3), homeIDs(o.Layout, 1, 1)[0]
	r := mustApply(t, g, entryOf(
		&Command{Kind: CommandRegister, UserIDs: [][]byte{ids[0], ids[1], foreign, ids[0], ids[2]}},
		&Command{Kind: CommandFollow, Me: 0, Targets: []shard.UID{2, 0, 1, 2}, Times: []uint32{7, 0, 0, 0}},
		&Command{Kind: CommandUnfollow, Me: 0, Targets: []shard.UID{4, 2}},
		&Command{Kind: CommandDeliver, From: 1, First: 1, Items: []engine.Item{{Source: 1, Target: 4, Time: 9}}},
		&Command{Kind: CommandDeliver, From: 1, First: 5, Items: []engine.Item{{Source: 1, Target: 4, Time: 9}}},
		&Command{Kind: CommandTrim, To: 1, Applied: 1},
		&Command{Kind: CommandSettings, FollowingLimit: 7},
	))
	if r.Err != nil || len(r.Results) != 7 || r.Index == 0 {
		t.Fatalf("%+v", r)
	}
	uids := r.Results[0]
	if want := []shard.UID{0, 2, shard.NoUID, 0, 4}; !errors.Is(uids.Err, engine.ErrWrongHome) || !equalSlices(uids.UIDs, want) {
		t.Errorf("register: %+v", uids)
	}
	follow := r.Results[1]
	want := []engine.Outcome{engine.Followed, engine.SelfFollow, engine.Followed, engine.Already}
	if !equalSlices(follow.Outcomes, want) || !equalSlices(follow.Seqs, []uint64{0, 0, 1, 0}) {
		t.Errorf("follow: %+v", follow)
	}
	if got := r.Results[2].Outcomes; !equalSlices(got, []engine.Outcome{engine.NotFollowing, engine.Unfollowed}) {
		t.Errorf("unfollow: %v", got)
	}
	if d := r.Results[3]; d.Applied != 1 || d.Err != nil {
		t.Errorf("deliver: %+v", d)
	}
	if d := r.Results[4]; d.Applied != 1 || !errors.Is(d.Err, engine.ErrGap) {
		t.Errorf("deliver with a gap: %+v", d)
	}
	graph := g.RLock()
	defer g.RUnlock()
	if trimmed, last := graph.OutboxRange(1); trimmed != 1 || last != 1 || graph.FollowingLimit() != 7 {
		t.Errorf("outbox %d to %d, limit %d", trimmed, last, graph.FollowingLimit())
	}
}

func equalSlices[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFollowingLimitIsProposedBeforeReady(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	for _, tc := range []struct{ option, want uint32 }{{0, engine.DefaultFollowingLimit}, {20, 20}, {0, 20}, {30, 30}} {
		o.FollowingLimit = tc.option
		h := openHost(t, o)
		h.waitLeaders(t)
		h.Group(0).View(func(g *engine.Graph) {
			if g.FollowingLimit() != tc.want {
				t.Errorf("option %d: limit %d when ready, not %d", tc.option, g.FollowingLimit(), tc.want)
			}
		})
		closeHost(t, h)
	}
}

func TestApplyRefuses(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	h := openHost(t, o)
	h.waitLeaders(t)
	g := h.Group(0)
	for name, tc := range map[string]struct {
		entry []byte
		want  error
	}{
		"no entry":  {nil, ErrTruncated},
		"version 9": {[]byte{9, 0, 0, 0, 0}, ErrUnknownVersion},
		"too large": {make([]byte, MaxCommandBytes+6), ErrEntryTooLarge},
	} {
		if _, err := g.Apply(tc.entry).Wait(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	closeHost(t, h)
	if _, err := g.Apply(entryOf()).Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := g.Snapshot(); !errors.Is(err, ErrClosed) {
		t.Errorf("snapshot after Close: %v", err)
	}
	if st := g.Status(); st.Leader || st.Ready {
		t.Errorf("after Close: %+v", st)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestEntriesInFlightAreBoundedAndAllAnswered(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	o.MaxInFlight = 3
	h := openHost(t, o)
	h.waitLeaders(t)
	g := h.Group(0)
	g.fsm.mu.RLock() // nothing is applied
	var accepted []Future
	for range 5 {
		f := g.Apply(entryOf(&Command{Kind: CommandTrim, To: 0}))
		if r, ok := f.(refused); ok {
			if !errors.Is(r.err, ErrOverloaded) {
				t.Error(r.err)
			}
			continue
		}
		accepted = append(accepted, f)
	}
	if len(accepted) != 3 {
		t.Errorf("%d entries in flight, the limit is 3", len(accepted))
	}
	closed := make(chan struct{})
	go func() { // while entries are in flight
		defer close(closed)
		closeHost(t, h)
	}()
	g.fsm.mu.RUnlock()
	for _, f := range accepted {
		if r, err := f.Wait(); err != nil || len(r.Results) != 1 {
			t.Errorf("%v, %v", r, err)
		}
	}
	<-closed
}

// fatalRig opens a host whose fatal error is expected.
func fatalRig(t *testing.T, o Options) (h *testHost, fatal chan error) {
	t.Helper()
	fatal = make(chan error, 2)
	o.Fatal = func(err error) { fatal <- err }
	h = openHost(t, o)
	h.waitLeaders(t)
	return h, fatal
}

// ends makes sure of what every fatal error comes to: one call, waiters
// answered, a Close that returns the cause.
func (h *testHost) ends(t *testing.T, waiting Future, fatal chan error, cause string) {
	t.Helper()
	var err error
	select {
	case err = <-fatal:
	case <-time.After(waitTime):
		t.Fatal("Fatal was not called")
	}
	if !errors.Is(err, ErrStopped) && !strings.Contains(err.Error(), cause) {
		t.Errorf("the cause is %v, not %q", err, cause)
	}
	if _, err := waiting.Wait(); !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("the entry in flight: %v", err)
	}
	if _, err := h.Group(0).Apply(entryOf()).Wait(); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrStopped) {
		t.Errorf("the next entry: %v", err)
	}
	if err := h.Close(); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), cause) {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-fatal:
		t.Errorf("Fatal was called again: %v", err)
	default:
	}
}

func TestFailingDiskStopsTheNode(t *testing.T) {
	for path, cause := range map[string]string{highWaterName: "high-water", ".log": "pebble: "} {
		t.Run(cause, func(t *testing.T) { inChild(t, func(t *testing.T) { failingDisk(t, path, cause) }) })
	}
}

func failingDisk(t *testing.T, path, cause string) {
	var toggle errorfs.Toggle
	toggle.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, path) && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileWriteAt) {
			return errors.New("the disk broke")
		}
		return nil
	})
	h, fatal := fatalRig(t, testOptions(t, errorfs.Wrap(vfs.NewMem(), &toggle), 1))
	toggle.On()
	h.ends(t, h.Group(0).Apply(entryOf(&Command{Kind: CommandTrim})), fatal, cause)
}

func TestUndecodableEntryStopsTheNode(t *testing.T) {
	inChild(t, func(t *testing.T) {
		h, fatal := fatalRig(t, testOptions(t, vfs.NewMem(), 1))
		i := h.Group(0).instance() // around the check of Apply
		f := i.propose([]byte{entryVersion, 0, 0, 0, 0, 99})
		h.ends(t, f, fatal, "committed entry")
	})
}

func TestHungDiskStopsTheNode(t *testing.T) {
	inChild(t, func(t *testing.T) {
		hang := make(chan struct{})
		var toggle errorfs.Toggle
		toggle.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync) {
				<-hang
			}
			return nil
		})
		o := testOptions(t, errorfs.Wrap(vfs.NewMem(), &toggle), 1)
		o.StoreTimeout = 50 * time.Millisecond
		h, fatal := fatalRig(t, o)
		toggle.On()
		h.ends(t, h.Group(0).Apply(entryOf(&Command{Kind: CommandTrim})), fatal, "the disk hangs")
		close(hang)
	})
}

// Parked goroutines end, without returning, once the host lets them.
func TestBreakerParksUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(Options{}.withDefaults().Logger)
		if err := b.err(); err != nil {
			t.Error(err)
		}
		calls := make(chan error, 2)
		if err := b.arm(func(err error) { calls <- err }); err != nil {
			t.Error(err)
		}
		var wg sync.WaitGroup
		returned := false
		for _, cause := range []error{io.ErrNoProgress, io.ErrShortWrite} {
			wg.Go(func() {
				pebbleLogger{logger: b.logger, b: b}.Fatalf("%w", cause)
				returned = true
			})
			synctest.Wait()
		}
		done := b.watch("nothing", time.Second)
		<-time.After(2 * time.Second) // by the clock of the bubble
		done()
		if err := <-calls; !errors.Is(err, io.ErrNoProgress) || len(calls) != 0 || !errors.Is(b.err(), io.ErrNoProgress) {
			t.Errorf("%v, then %d calls more", err, len(calls))
		}
		b.release()
		wg.Wait()
		if returned {
			t.Error("Fatalf returned")
		}
	})
}

func TestIdleGroupIsSnapshotted(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	o.SnapshotIdle = 10 * time.Millisecond
	h := openHost(t, o)
	defer closeHost(t, h)
	h.waitLeaders(t)
	r := mustApply(t, h.Group(0), entryOf(&Command{Kind: CommandRegister, UserIDs: [][]byte{[]byte("a")}}))
	awaitSnapshot(t, h.Group(0), r.Index)
}

func TestEdgeChangesCauseASnapshot(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	o.SnapshotEdgeChanges = 40
	h := openHost(t, o)
	defer closeHost(t, h)
	h.waitLeaders(t)
	var last *EntryResult
	for range 3 {
		last = mustApply(t, h.Group(0), entryOf(&Command{Kind: CommandFollow, Targets: make([]shard.UID, 20)}))
	}
	awaitSnapshot(t, h.Group(0), last.Index-1)
}

func awaitSnapshot(t *testing.T, g *Group, index uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for g.Status().SnapshotIndex < index {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no snapshot of %d: %+v", index, g.Status())
		}
	}
}

func TestValidate(t *testing.T) {
	good := testOptions(t, nil, 1)
	for name, spoil := range map[string]func(*Options){
		"no dir":     func(o *Options) { o.Dir = "" },
		"no node id": func(o *Options) { o.NodeID = "" },
		"no clock":   func(o *Options) { o.Now = nil },
		"lease":      func(o *Options) { o.LeaderLease = time.Hour },
		"in flight":  func(o *Options) { o.MaxInFlight = 1000 },
	} {
		o := good
		spoil(&o)
		if _, err := Open(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFolderOfAnotherNodeIsRefused(t *testing.T) {
	o := testOptions(t, vfs.NewMem(), 1)
	closeHost(t, openHost(t, o))
	o.NodeID = "n2"
	if _, err := tryOpenHost(o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "n1") {
		t.Errorf("a folder stored for n1, opened as n2: %v", err)
	}
}
