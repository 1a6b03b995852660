package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/kithgraph/kith/internal/crashdisk"
	"github.com/kithgraph/kith/wire"
)

// realOptions are for a whole node: loopback, Raft and Pebble over that disk.
func realOptions(tb testing.TB, fs vfs.FS) Options {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return Options{Listener: listener, FS: fs, Dir: "data", Now: time.Now, Rand: new(countingReader), Version: "test"}
}

// startReal starts a whole node, which the caller stops.
func startReal(tb testing.TB, fs vfs.FS) *connBench {
	tb.Helper()
	o := realOptions(tb, fs)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	return &connBench{Server: s, tb: tb, net: func() (net.Conn, error) { return net.Dial("tcp", s.Addr().String()) }}
}

func TestNodeKeepsItsGraphAcrossRestarts(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fs := vfs.NewMem()
	b := startReal(t, fs)
	clusterID := b.identity.ClusterID
	c := b.connect()
	for i := range 10 {
		var reply wire.EdgeReply
		c.ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: fmt.Appendf(nil, "u%d", i), UserIDs: ids(numbered("u", 20)...)}, &reply)
		for j, r := range reply.Results {
			if want := i == j; (r.Code() == wire.SelfFollow) != want || !want && r.Code() != wire.OK {
				t.Fatalf("u%d follows u%d: %v", i, j, r.Code())
			}
		}
	}
	var page wire.ListReply
	c.ask(wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("u0"), Limit: 10}, &page)
	cursor := string(page.NextCursor)
	b.stop()

	b = startReal(t, fs)
	c = b.connect()
	if b.identity.ClusterID != clusterID {
		t.Error("the cluster has another id")
	}
	if got := c.check("u0", "u0", "u1", "u15", "u20"); got != "0320" {
		t.Errorf("u0 sees %s", got)
	}
	c.ask(wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("u0"), Limit: 10, Cursor: []byte(cursor)}, &page)
	if len(page.Items) != 9 || page.Total != 19 || len(page.NextCursor) != 0 {
		t.Errorf("the second page, over the restart: %+v", page)
	}
	if rows, _ := c.exported(4, wire.ExportRequest{Credits: 100}); len(rows) != 190 {
		t.Errorf("%d rows", len(rows))
	}
	var status wire.Status
	c.ask(wire.TypeStatus, 7, &wire.StatusRequest{}, &status)
	if !status.Ready || status.Follows != 190 || status.Users != 20 {
		t.Errorf("status: %+v", status)
	}
	for _, s := range status.Shards {
		if !s.Leader || !s.Ready || !slices.Equal(s.Replicas, []string{b.identity.NodeID}) || s.Term == 0 || s.Applied == 0 || s.Commit < s.Applied {
			t.Errorf("shard: %+v", s)
		}
	}
	b.stop()
	goleak.VerifyNone(t, before)
}

// TestNodeSurvivesPowerLoss cuts the power while clients write: what was
// acknowledged is there on both sides afterwards.
func TestNodeSurvivesPowerLoss(t *testing.T) {
	fs := crashdisk.New()
	b := startReal(t, fs)
	c := b.connect()
	acknowledged := 0
	for i := range 50 {
		c.ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: fmt.Appendf(nil, "f%d", i), UserIDs: ids("star")}, &wire.EdgeReply{})
		acknowledged++
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	b.stop()
	b = startReal(t, after)
	defer b.stop()
	c = b.connect()
	var info wire.InfoReply
	c.ask(wire.TypeInfo, 3, &wire.InfoRequest{UserIDs: ids("star", "f0", "f49")}, &info)
	if int(info.Items[0].Followers) != acknowledged || info.Items[1].Following != 1 || info.Items[2].Following != 1 {
		t.Errorf("after the power loss: %+v", info.Items)
	}
}

func TestStartFailsClearlyAndLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fs := vfs.NewMem()
	running := startReal(t, fs)
	for _, c := range []struct {
		change func(o *Options)
		want   error
		says   string
	}{
		{func(o *Options) {}, ErrFolderInUse, "another process"},
		{func(o *Options) { o.Dir = "" }, ErrOptions, "Dir"},
		{func(o *Options) { o.FS = vfs.NewMem(); writeTestFile(t, o.FS, "x", nil) }, ErrNotOurs, "neither empty nor"},
	} {
		o := realOptions(t, fs)
		c.change(&o)
		if _, err := Start(t.Context(), o); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %v", err, c.want)
		}
		if nc, err := net.Dial("tcp", o.Listener.Addr().String()); err == nil {
			nc.Close()
			t.Error("the listener was left open")
		}
	}
	running.stop()
	o := realOptions(t, fs)
	o.Shards = 16
	if _, err := Start(t.Context(), o); !errors.Is(err, ErrShardCount) {
		t.Errorf("another number of shards: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := Start(ctx, realOptions(t, fs)); err == nil {
		_ = s.Shutdown(t.Context()) // it was ready before it looked
	} else if !errors.Is(err, ErrStopped) || !errors.Is(err, context.Canceled) {
		t.Errorf("a start that is given up: %v", err)
	}
	startReal(t, fs).stop()
	goleak.VerifyNone(t, before)
}

func TestFollowingLimitIsTheClusters(t *testing.T) {
	fs := vfs.NewMem()
	o := realOptions(t, fs)
	o.FollowingLimit = 3
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b := &connBench{Server: s, tb: t, net: func() (net.Conn, error) { return net.Dial("tcp", s.Addr().String()) }}
	defer b.stop()
	c := b.connect()
	var reply wire.EdgeReply
	c.ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("a"), UserIDs: ids("b", "c", "d", "e", "b")}, &reply)
	got := ""
	for _, r := range reply.Results {
		got += r.Code().String() + " "
	}
	if want := "ok ok ok following_full ok "; got != want {
		t.Errorf("a cap of 3 gives %s", got)
	}
}
