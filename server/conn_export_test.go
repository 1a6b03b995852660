package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithgraph/kith/wire"
)

// exported runs an export to its end, giving back each credit, and returns a line
// for each row. It checks what every export must keep.
func (c *testClient) exported(id uint32, m wire.ExportRequest) (rows []string, frames int) {
	c.tb.Helper()
	c.request(wire.TypeExport, id, &m)
	for {
		h, body, err := c.receive()
		if err != nil || h.ID != id || h.Code() != wire.OK {
			c.tb.Fatalf("export: %+v %q %v", h, body, err)
		}
		var reply wire.ExportReply
		if err := reply.Decode(body); err != nil {
			c.tb.Fatal(err)
		}
		frames++
		for _, r := range reply.Rows {
			rows = append(rows, fmt.Sprintf("%s %s %d", r.Follower, r.Followee, r.Time))
		}
		if !h.More() {
			if !reply.Next.Done() {
				c.tb.Errorf("the last frame goes on at %+v", reply.Next)
			}
			return rows, frames
		}
		c.request(wire.TypeCredit, id, &wire.Credit{Credits: 1})
	}
}

// populate follows at random, with times, and returns the lines that an export
// must give.
func (b *connBench) populate(users, follows int) map[string]bool {
	rng := newRand(b.tb)
	lines := make(map[string]bool)
	for user := range users {
		e := follow(fmt.Sprint("u", user))
		seen := map[int]bool{user: true}
		for range follows {
			other := rng.IntN(2 * users)
			if seen[other] {
				continue
			}
			seen[other] = true
			e.Targets = append(e.Targets, fmt.Appendf(nil, "u%d", other))
			e.Times = append(e.Times, 1+rng.Uint32N(50))
			lines[fmt.Sprintf("u%d u%d %d", user, other, e.Times[len(e.Times)-1])] = true
		}
		if got := b.writes.do(e); got.Code != wire.OK {
			b.tb.Fatal(got.Message)
		}
	}
	return lines
}

func wantRows(t *testing.T, rows []string, lines map[string]bool) {
	t.Helper()
	if len(rows) != len(lines) {
		t.Errorf("%d rows, want %d", len(rows), len(lines))
	}
	want := slices.Sorted(maps.Keys(lines))
	slices.Sort(rows)
	if !slices.Equal(rows, want) {
		t.Error("the rows are not what was followed")
	}
}

func TestExportIsExact(t *testing.T) {
	b := newConnBench(t, nil)
	lines := b.populate(300, 40)
	c := b.connect()
	rows, frames := c.exported(3, wire.ExportRequest{Credits: 2})
	if frames < 4 {
		t.Errorf("%d frames", frames)
	}
	wantRows(t, rows, lines)
	rows, _ = c.exported(3, wire.ExportRequest{Credits: 1000, Flags: wire.ReadConsistent}) // the id is free again
	wantRows(t, rows, lines)
	if rows, frames = c.exported(4, wire.ExportRequest{Start: wire.ExportEnd()}); len(rows) != 0 || frames != 1 {
		t.Errorf("behind the end there are %d rows in %d frames", len(rows), frames)
	}
}

func TestExportOfNothing(t *testing.T) {
	b := newConnBench(t, nil)
	if rows, _ := b.connect().exported(3, wire.ExportRequest{Credits: 1}); len(rows) != 0 {
		t.Errorf("rows: %v", rows)
	}
}

// TestExportResumesAnywhere cuts an export after every frame and goes on with
// another one.
func TestExportResumesAnywhere(t *testing.T) {
	b := newConnBench(t, nil)
	lines := b.populate(40, 30)
	long := strings.Repeat("x", 120)
	e := follow("u0", numbered(long, 1000)...) // several frames of one user
	if got := b.writes.do(e); got.Code != wire.OK {
		t.Fatal(got.Message)
	}
	for _, target := range e.Targets {
		lines[string(target)] = true
	}
	c := b.connect()
	var rows []string
	var at wire.ExportPosition
	for id := uint32(3); !at.Done(); id++ {
		c.request(wire.TypeExport, id, &wire.ExportRequest{Credits: 1, Start: at})
		h, body, err := c.receive()
		if err != nil || h.Code() != wire.OK {
			t.Fatalf("%+v %v", h, err)
		}
		var reply wire.ExportReply
		if err := reply.Decode(body); err != nil {
			t.Fatal(err)
		}
		for _, r := range reply.Rows {
			if !strings.HasPrefix(string(r.Followee), long) {
				rows = append(rows, fmt.Sprintf("%s %s %d", r.Follower, r.Followee, r.Time))
				continue
			}
			rows = append(rows, string(r.Followee))
		}
		if len(body) > wire.MinMaxFrameBytes {
			t.Errorf("a frame of %d bytes", len(body))
		}
		at = reply.Next
		if h.More() {
			c.request(wire.TypeCancel, id, &wire.Cancel{})
			c.want(id, wire.OK, &reply)
			if reply.Next != at || len(reply.Rows) != 0 {
				t.Fatalf("the last frame of a cancelled export: %+v", reply)
			}
		}
	}
	if len(rows) != len(lines) {
		t.Errorf("%d rows", len(rows))
	}
	wantRows(t, rows, lines)
}

func TestExportWaitsForCredit(t *testing.T) {
	b := newConnBench(t, nil)
	b.populate(300, 40)
	c := b.connect()
	c.request(wire.TypeExport, 3, &wire.ExportRequest{})
	c.alive()
	c.request(wire.TypeCredit, 3, &wire.Credit{Credits: 2})
	for range 2 {
		if h, _, err := c.receive(); err != nil || h.ID != 3 || !h.More() {
			t.Fatalf("%+v %v", h, err)
		}
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if h, _, err := c.receive(); !isTimeout(err) {
		t.Fatalf("a frame without credit: %+v", h)
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	c.alive()
	c.request(wire.TypeExport, 3, &wire.ExportRequest{})
	c.wantError(3, wire.BadRequest, "in use")
	c.request(wire.TypeCancel, 3, &wire.Cancel{})
	c.want(3, wire.OK, &wire.ExportReply{})
	c.request(wire.TypeCancel, 3, &wire.Cancel{}) // has ended: ignored
	c.request(wire.TypeCredit, 3, &wire.Credit{Credits: 1})
	c.alive()
}

func TestTooManyExports(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.Exports, o.Limits.AllExports = 2, 3 })
	b.follow("alice", "bob")
	one, two := b.connect(), b.connect()
	one.request(wire.TypeExport, 3, &wire.ExportRequest{})
	one.request(wire.TypeExport, 4, &wire.ExportRequest{})
	one.request(wire.TypeExport, 5, &wire.ExportRequest{})
	one.wantError(5, wire.Unavailable, "at most 2 exports on a connection")
	two.request(wire.TypeExport, 3, &wire.ExportRequest{})
	two.request(wire.TypeExport, 4, &wire.ExportRequest{})
	two.wantError(4, wire.Unavailable, "at most 3 exports at once")
	one.nc.Close()
	eventually(t, "the exports end with their connection", func() bool { return b.exports.Load() == 1 })
	if rows, _ := two.exported(6, wire.ExportRequest{Credits: 9}); len(rows) != 1 {
		t.Errorf("rows: %v", rows)
	}
}

func TestExportOfShardWithoutLeader(t *testing.T) {
	b := newConnBench(t, nil)
	b.follow("alice", "bob")
	b.writes.groups[2].depose()
	c := b.connect()
	c.request(wire.TypeExport, 3, &wire.ExportRequest{Credits: 9})
	for {
		h, _, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		if h.More() {
			continue
		}
		if h.Code() != wire.Unavailable {
			t.Errorf("the export ends with %v", h.Code())
		}
		break
	}
	if rows, _ := c.exported(4, wire.ExportRequest{Flags: wire.ReadStale, Credits: 9}); len(rows) != 1 {
		t.Errorf("a stale export has %v", rows)
	}
}

// TestWalksUnderChange walks lists and exports while others follow and unfollow:
// who was there throughout is shown exactly once.
func TestWalksUnderChange(t *testing.T) {
	b := newConnBench(t, nil)
	stable := map[string]bool{}
	for i := range 100 {
		e := follow("me", fmt.Sprint("stable", i))
		e.Times = []uint32{uint32(10 * i)}
		b.writes.do(e)
		stable[fmt.Sprint("stable", i)] = true
	}
	stop := make(chan struct{})
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			e := follow("me", fmt.Sprint("moving", i%50))
			e.Times = []uint32{uint32(7*i) % 1000}
			e.Remove = i%2 == 1
			b.writes.do(e)
		}
	}()
	c := b.connect()
	for round := range 50 {
		names, _ := c.walk(wire.TypeFollowing, "me", 1+round)
		wantStable(t, "list", names, stable)
		rows, _ := c.exported(3, wire.ExportRequest{Credits: 3})
		for i, row := range rows {
			rows[i] = strings.Fields(row)[1]
		}
		wantStable(t, "export", rows, stable)
	}
	close(stop)
	<-changed
}

func wantStable(t *testing.T, what string, names []string, stable map[string]bool) {
	t.Helper()
	seen := map[string]int{}
	for _, name := range names {
		seen[name]++
	}
	for name := range stable {
		if seen[name] != 1 {
			t.Fatalf("%s: %s is shown %d times", what, name, seen[name])
		}
	}
}
