package server

import (
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/wire"
)

// TestWritesAreRefusedWhileTheDiskIsNearlyFull changes what the node is told of its disk.
func TestWritesAreRefusedWhileTheDiskIsNearlyFull(t *testing.T) {
	b := newConnBench(t, nil)
	var disk atomic.Pointer[raftfsm.DiskStatus]
	b.Server.disk = disk.Load
	c := b.connect()
	c.ask(wire.TypeFollow, 1, &wire.EdgeRequest{Me: []byte("a"), UserIDs: ids("b", "c")}, &wire.EdgeReply{})

	disk.Store(&raftfsm.DiskStatus{FreeBytes: 7, MinFreeBytes: 800, Refusal: "7 bytes are free, writes need 800"})
	edge := &wire.EdgeRequest{Me: []byte("a"), UserIDs: ids("d")}
	for id, request := range []struct {
		t wire.Type
		m wire.Message
	}{
		{wire.TypeFollow, edge}, {wire.TypeUnfollow, edge},
		{wire.TypeImport, &wire.ImportRequest{Rows: []wire.ImportRow{{Follower: []byte("x"), Followee: []byte("y")}}}},
	} {
		c.request(request.t, uint32(id)+2, request.m)
		c.wantError(uint32(id)+2, wire.Unavailable, "7 bytes are free, writes need 800")
	}
	if got := c.check("a", "b", "c", "d"); got != "220" {
		t.Errorf("a sees %s", got)
	}
	var status wire.Status
	c.ask(wire.TypeStatus, 9, &wire.StatusRequest{}, &status)
	if status.Disk == nil || *status.Disk != (wire.DiskStatus{FreeBytes: 7, MinFreeBytes: 800}) || status.WritesRefused != "disk nearly full" || !status.Ready {
		t.Errorf("status: %+v", status)
	}
	disk.Store(&raftfsm.DiskStatus{FreeBytes: 900, MinFreeBytes: 800})
	var reply wire.EdgeReply
	c.ask(wire.TypeFollow, 10, edge, &reply)
	if len(reply.Results) != 1 || reply.Results[0].Code() != wire.OK {
		t.Errorf("with room again: %+v", reply)
	}
}

// TestNodeServesAndDeliversBelowTheMark starts a whole node on a disk without
// room. A write that was accepted before still comes to both sides.
func TestNodeServesAndDeliversBelowTheMark(t *testing.T) {
	fs := vfs.NewMem()
	b := startReal(t, fs)
	b.connect().ask(wire.TypeFollow, 1, &wire.EdgeRequest{Me: []byte("a"), UserIDs: ids("b", "c")}, &wire.EdgeReply{})
	b.stop()

	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 40})
	b = startReal(t, fs)
	defer b.stop()
	c := b.connect()
	c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("f"), UserIDs: ids("a")})
	c.wantError(2, wire.Unavailable, "1048576 bytes are free, writes need 671088640")
	if got := c.check("a", "b", "f"); got != "20" {
		t.Errorf("a sees %s", got)
	}
	done := make(chan struct{})
	accepted := &edgeWrite{Me: []byte("a"), Targets: ids(numbered("u", 50)...), Done: func(*edgeWrite) { close(done) }}
	b.Server.writes.start(accepted)
	<-done
	if accepted.Code != wire.OK || accepted.Pending {
		t.Errorf("code %v, pending %v: %s", accepted.Code, accepted.Pending, accepted.Message)
	}
	for _, target := range numbered("u", 50) {
		if got := c.check(target, "a"); got != "1" {
			t.Errorf("%s sees %s", target, got)
		}
	}
}
