package server

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kithgraph/kith/wire"
)

func TestOperationsEndToEnd(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.connect()
	c.alive()

	var edges wire.EdgeReply
	c.ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob", "carol", "alice", "", "bob")}, &edges)
	want := []wire.EdgeResult{0, 0, wire.MakeEdgeResult(wire.SelfFollow, false), wire.MakeEdgeResult(wire.BadRequest, false), wire.MakeEdgeResult(wire.OK, true)}
	if fmt.Sprint(edges.Results) != fmt.Sprint(want) || edges.Pending {
		t.Errorf("follow: %v pending %t, want %v", edges.Results, edges.Pending, want)
	}
	c.ask(wire.TypeFollow, 3, &wire.EdgeRequest{Me: []byte("bob"), UserIDs: ids("alice")}, &edges)

	if got := c.check("alice", "bob", "carol", "nobody", "alice", "a\nb"); got != "3200bad_request" {
		t.Errorf("alice sees %s", got)
	}
	if got := c.check("carol", "alice", "bob"); got != "10" {
		t.Errorf("carol sees %s", got)
	}
	if got := c.check("nobody", "alice"); got != "0" {
		t.Errorf("nobody sees %s", got)
	}

	var info wire.InfoReply
	c.ask(wire.TypeInfo, 4, &wire.InfoRequest{UserIDs: ids("alice", "bob", "nobody", "")}, &info)
	wantInfo := []wire.InfoItem{{Followers: 1, Following: 2, Mutual: 1}, {Followers: 1, Following: 1, Mutual: 1}, {}, {Code: wire.BadRequest}}
	if fmt.Sprint(info.Items) != fmt.Sprint(wantInfo) {
		t.Errorf("info: %v, want %v", info.Items, wantInfo)
	}

	c.ask(wire.TypeUnfollow, 6, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("carol", "dave")}, &edges)
	if edges.Results[0] != 0 || !edges.Results[1].Unchanged() {
		t.Errorf("unfollow: %v", edges.Results)
	}
	if got := c.check("alice", "carol"); got != "0" {
		t.Errorf("after the unfollow alice sees %s", got)
	}

	var status wire.Status
	c.ask(wire.TypeStatus, 7, &wire.StatusRequest{}, &status)
	if !status.Ready || status.Follows != 2 || status.Connections != 1 || len(status.Shards) != 4 || status.NodeID != "n1" || status.FollowingLimit != 5000 {
		t.Errorf("status: %+v", status)
	}
	if status.Memory.HeapBytes == 0 || status.Memory.GraphBytes == 0 {
		t.Errorf("status knows nothing of memory: %+v", status.Memory)
	}
}

// walk follows cursors to a list's end.
func (c *testClient) walk(t wire.Type, user string, limit int) (names []string, total uint32) {
	c.tb.Helper()
	var cursor []byte
	for page := uint32(100); ; page++ {
		var reply wire.ListReply
		c.ask(t, page, &wire.ListRequest{User: []byte(user), Cursor: cursor, Limit: uint16(limit)}, &reply)
		for _, item := range reply.Items {
			names = append(names, string(item.UserID))
		}
		if len(reply.NextCursor) == 0 {
			return names, reply.Total
		}
		if len(reply.Items) != limit {
			c.tb.Fatalf("a page of %d items, not %d, in the middle of a list", len(reply.Items), limit)
		}
		cursor = reply.NextCursor
	}
}

func TestListsAreNewestFirstAndComplete(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.connect()
	e := follow("me", numbered("u", 60)...)
	e.Times = make([]uint32, 60)
	for i := range e.Times {
		e.Times[i] = uint32(1000 + i)
	}
	if got := b.writes.do(e); got.Code != wire.OK {
		t.Fatal(got.Message)
	}
	for i := 0; i < 60; i += 3 {
		b.follow(fmt.Sprintf("u%d", i), "me")
	}
	for _, limit := range []int{1, 7, 20, 59, 60, 61, 500} {
		following, total := c.walk(wire.TypeFollowing, "me", limit)
		if total != 60 || len(following) != 60 {
			t.Fatalf("limit %d: total %d, walked %d", limit, total, len(following))
		}
		for i, name := range following {
			if want := fmt.Sprintf("u%d", 59-i); name != want {
				t.Fatalf("limit %d: item %d is %s, not %s", limit, i, name, want)
			}
		}
		mutuals, total := c.walk(wire.TypeMutuals, "me", limit)
		if total != 20 || len(mutuals) != 20 || mutuals[0] != "u57" || mutuals[19] != "u0" {
			t.Fatalf("limit %d: mutuals %v of %d", limit, mutuals, total)
		}
		if followers, total := c.walk(wire.TypeFollowers, "me", limit); total != 20 || len(followers) != 20 {
			t.Fatalf("limit %d: followers %v of %d", limit, followers, total)
		}
	}
	if names, total := c.walk(wire.TypeFollowers, "nobody", 10); len(names) != 0 || total != 0 {
		t.Errorf("nobody has followers %v of %d", names, total)
	}
	var page wire.ListReply
	c.ask(wire.TypeFollowing, 9, &wire.ListRequest{User: []byte("me")}, &page)
	if len(page.Items) != 60 || page.Items[0].FollowTime != 1059 {
		t.Errorf("the default page has %d items, the first of time %d", len(page.Items), page.Items[0].FollowTime)
	}
}

func TestPipelinedRequestsAllGetTheirAnswers(t *testing.T) {
	b := newConnBench(t, nil)
	b.follow("alice", "bob")
	c := b.connect()
	const rounds = 1000
	var frames []byte
	for i := uint32(0); i < rounds; i++ {
		level := uint8(i % 3)
		frames = wire.AppendRequest(frames, wire.TypeCheck, 10*i+10, &wire.CheckRequest{Flags: level, Me: []byte("alice"), UserIDs: ids("bob", fmt.Sprint(i))})
		frames = wire.AppendRequest(frames, wire.TypeFollow, 10*i+11, &wire.EdgeRequest{Me: []byte("carol"), UserIDs: ids(fmt.Sprint("t", i))})
		frames = wire.AppendRequest(frames, wire.TypeInfo, 10*i+12, &wire.InfoRequest{Flags: level, UserIDs: ids("alice")})
		frames = wire.AppendRequest(frames, wire.TypeFollowing, 10*i+13, &wire.ListRequest{User: []byte("alice"), Limit: 5})
		frames = wire.AppendRequest(frames, wire.TypePing, 10*i+14, &wire.Ping{})
	}
	go c.send(frames)
	answers := make(map[uint32]int)
	for range 5 * rounds {
		h, body, err := c.receive()
		if err != nil || h.Code() != wire.OK {
			t.Fatalf("answer %+v %q: %v", h, body, err)
		}
		answers[h.ID]++
	}
	for i := uint32(0); i < rounds; i++ {
		for j := uint32(10); j < 15; j++ {
			if n := answers[10*i+j]; n != 1 {
				t.Fatalf("request %d has %d answers", 10*i+j, n)
			}
		}
	}
}

func TestReadsDoNotWaitBehindWrites(t *testing.T) {
	b := newConnBench(t, nil)
	b.follow("alice", "bob")
	release := b.holdWrites()
	c := b.connect()
	c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("zoe")})
	c.alive()
	if got := c.check("alice", "bob", "zoe"); got != "20" {
		t.Errorf("alice sees %s", got)
	}
	release()
	c.want(2, wire.OK, &wire.EdgeReply{})
	if got := c.check("alice", "zoe"); got != "2" {
		t.Errorf("alice sees %s after the answer", got)
	}
}

func TestShardWithoutLeaderIsUnavailable(t *testing.T) {
	b := newConnBench(t, nil)
	here, there := b.writes.userAt(0, 1), b.writes.userAt(1, 2)
	b.follow(here, there)
	b.writes.groups[1].depose()
	c := b.connect()
	if got := c.check(here, here, there); got != "0unavailable" {
		t.Errorf("check: %s", got)
	}
	c.request(wire.TypeCheck, 2, &wire.CheckRequest{Me: []byte(there), UserIDs: ids(here)})
	c.wantError(2, wire.Unavailable, "shard 1 has no ready leader")
	c.request(wire.TypeFollowers, 3, &wire.ListRequest{User: []byte(there)})
	c.wantError(3, wire.Unavailable, "shard 1 has no ready leader")
	var info wire.InfoReply
	c.ask(wire.TypeInfo, 4, &wire.InfoRequest{UserIDs: ids(here, there)}, &info)
	if info.Items[0].Code != wire.OK || info.Items[1].Code != wire.Unavailable {
		t.Errorf("info: %v", info.Items)
	}
	var stale wire.CheckReply
	c.ask(wire.TypeCheck, 5, &wire.CheckRequest{Flags: wire.ReadStale, Me: []byte(there), UserIDs: ids(here)}, &stale)
	if stale.Results[0].FollowType() != wire.FollowTypeFollower {
		t.Errorf("a stale check says %v", stale.Results)
	}
	if names, _ := c.walk(wire.TypeFollowing, here, 10); len(names) != 1 || names[0] != there {
		t.Errorf("the names in a list need no leader, but it shows %v", names)
	}
}

// hookedGroup calls a function whenever its graph is let go.
type hookedGroup struct {
	readGroup
	released func()
}

func (g hookedGroup) RUnlock() {
	g.readGroup.RUnlock()
	g.released()
}

// TestCheckSeesNoLaterFollowWithoutAnEarlier follows two users one after the other,
// the first of them unknown before, between the stages of a check: one that shows
// the second follow must show the first.
func TestCheckSeesNoLaterFollowWithoutAnEarlier(t *testing.T) {
	b := newConnBench(t, nil)
	me, known := b.writes.userAt(0, 1), b.writes.userAt(0, 2)
	var named []string
	for i := range 3 {
		named = append(named, b.writes.userAt(1, 3+i))
	}
	b.follow(known, me)
	var looked atomic.Int32
	b.groups[1] = hookedGroup{b.groups[1], func() {
		if i := int(looked.Add(1)) - 1; i < len(named) { // each look-up just misses a new user
			b.follow(me, named[i])
			if i == 0 {
				b.follow(me, known)
			}
		}
	}}
	if got := b.connect().check(me, append([]string{known}, named...)...); got != "3222" {
		t.Errorf("check: %s", got)
	}
}

// TestPassLetsWritersIn counts how often a pass of costly lists takes the read lock.
func TestPassLetsWritersIn(t *testing.T) {
	b, c := passBench(t)
	b.follow("followed-0-0", "me")
	home := b.layout.Home([]byte("me"))
	var released int
	b.groups[home] = hookedGroup{b.groups[home], func() { released++ }}
	const n = 256
	var frames []byte
	for i := range uint32(n) {
		frames = wire.AppendRequest(frames, wire.TypeMutuals, i+1, &wire.ListRequest{User: []byte("me"), Limit: 1})
	}
	if c.serveAll(t, frames); released < n {
		t.Errorf("%d pages of mutuals were read under %d locks", n, released)
	}
}

func TestImportGroupsRowsAndKeepsTheirOrder(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.connect()
	row := func(follower, followee string, time uint32) wire.ImportRow {
		return wire.ImportRow{Follower: []byte(follower), Followee: []byte(followee), Time: time}
	}
	rows := []wire.ImportRow{
		row("b", "x", 5), row("a", "x", 7), row("b", "x", 6), row("", "x", 1), row("a", "a", 1), row("a", strings.Repeat("z", 129), 1), row("b", "y", 9),
	}
	var reply wire.ImportReply
	c.ask(wire.TypeImport, 2, &wire.ImportRequest{Rows: rows}, &reply)
	text := ""
	for _, r := range reply.Results {
		text += r.Code().String()
		if r.Unchanged() {
			text += "="
		}
		text += " "
	}
	if want := "ok ok ok= bad_request self_follow bad_request ok "; text != want {
		t.Errorf("import: %s, want %s", text, want)
	}
	var list wire.ListReply
	c.ask(wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("b")}, &list)
	if len(list.Items) != 2 || list.Items[1].FollowTime != 5 {
		t.Errorf("the first of two equal rows must set the time: %v", list.Items)
	}
	c.ask(wire.TypeImport, 4, &wire.ImportRequest{Rows: []wire.ImportRow{row("", "x", 1), row("\x01", "x", 1)}}, &reply)
	if len(reply.Results) != 2 || reply.Results[0].Code() != wire.BadRequest || reply.Results[1].Code() != wire.BadRequest {
		t.Errorf("rows without a good follower: %v", reply.Results)
	}
}
