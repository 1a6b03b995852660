//go:build !race

package server

import (
	"testing"

	"github.com/kithgraph/kith/wire"
)

// The race detector makes pools forget, so this is tested without it.
func TestReadsDoNotAllocate(t *testing.T) {
	_, c := passBench(t)
	frames := manyReads(16)
	c.serveAll(t, frames)
	if n := testing.AllocsPerRun(100, func() { c.serveAll(t, frames) }); n > 1 {
		t.Errorf("%v allocations for 64 requests", n)
	}
}

func manyReads(n int) []byte {
	var frames []byte
	for i := range uint32(n) {
		frames = wire.AppendRequest(frames, wire.TypeCheck, 4*i+1, &wire.CheckRequest{Me: []byte("me"), UserIDs: ids("followed-3-7", "nobody")})
		frames = wire.AppendRequest(frames, wire.TypeInfo, 4*i+2, &wire.InfoRequest{UserIDs: ids("me")})
		frames = wire.AppendRequest(frames, wire.TypeFollowing, 4*i+3, &wire.ListRequest{User: []byte("me"), Limit: 20})
		frames = wire.AppendRequest(frames, wire.TypePing, 4*i+4, &wire.Ping{})
	}
	return frames
}
