package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// idOf returns the n-th id of the form "user i" whose home is a shard.
func idOf(layout shard.Layout, s shard.ID, n int) []byte {
	for i := 0; ; i++ {
		if id := fmt.Appendf(nil, "user %d", i); layout.Home(id) == s {
			if n--; n < 0 {
				return id
			}
		}
	}
}

// newPair returns the graphs of two shards with three users each: uids 0, 2, 4
// and 1, 3, 5.
func newPair(t testing.TB, limit int) (a, b *Graph) {
	t.Helper()
	layout, err := shard.NewLayout(2)
	if err != nil {
		t.Fatal(err)
	}
	a, b = newGraph(t, layout, 0, limit), newGraph(t, layout, 1, limit)
	for n := range 3 {
		for s, g := range []*Graph{a, b} {
			want := layout.UID(uint32(n), shard.ID(s))
			if uid, err := g.Register(idOf(layout, shard.ID(s), n)); err != nil || uid != want {
				t.Fatalf("uid %d, %v, want %d", uid, err, want)
			}
		}
	}
	return a, b
}

func checkAll(t *testing.T, graphs ...*Graph) {
	t.Helper()
	for _, g := range graphs {
		if err := g.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOutcomesWithinOneShard(t *testing.T) {
	g, _ := newPair(t, 1)
	steps := []struct {
		unfollow   bool
		me, target shard.UID
		want       Outcome
	}{
		{false, 0, 2, Followed},
		{false, 0, 2, Already},
		{false, 0, 4, FollowingFull},
		{false, 0, 2, Already}, // also when the list is full
		{false, 0, 0, SelfFollow},
		{true, 0, 0, NotFollowing},
		{true, 0, 4, NotFollowing},
		{false, 2, 0, Followed},
		{true, 0, 2, Unfollowed},
		{true, 0, 2, NotFollowing},
		{false, 0, 4, Followed},
		{false, 6, 0, Invalid}, // unknown number
		{false, 1, 0, Invalid}, // wrong home
		{false, 0, 6, Invalid}, // unknown target, homed here
		{true, 0, 6, Invalid},
		{true, 1, 0, Invalid},
		{false, shard.NoUID, 0, Invalid},
		{false, 0, shard.NoUID, Invalid},
		{true, 0, shard.NoUID, Invalid},
	}
	for i, s := range steps {
		var got Outcome
		var seq uint64
		if s.unfollow {
			got, seq = g.Unfollow(s.me, s.target)
		} else {
			got, seq = g.Follow(s.me, s.target, 7)
		}
		if got != s.want || seq != 0 {
			t.Errorf("step %d: %v, %d, want %v", i, got, seq, s.want)
		}
		checkAll(t, g)
	}
	if got := g.Counts(0); got != (Counts{1, 1, 0}) {
		t.Errorf("counts %v", got)
	}
}

// An edge to another shard is visible there once its item has been delivered, and
// answers say which item that is, until it has been trimmed.
func TestSequenceNumbersAcrossShards(t *testing.T) {
	a, b := newPair(t, 10)
	want := func(o Outcome, seq uint64, wantO Outcome, wantSeq uint64) {
		t.Helper()
		if o != wantO || seq != wantSeq {
			t.Fatalf("%v, %d, want %v, %d", o, seq, wantO, wantSeq)
		}
	}
	o, seq := a.Follow(0, 1, 50)
	want(o, seq, Followed, 1)
	o, seq = a.Follow(0, 1, 60)
	want(o, seq, Already, 1)
	o, seq = a.Follow(2, 3, 60)
	want(o, seq, Followed, 2)
	o, seq = a.Unfollow(4, 3)
	want(o, seq, NotFollowing, 2)
	o, seq = a.Unfollow(0, 1)
	want(o, seq, Unfollowed, 3)

	items, first := a.Outbox(1, 0, 10, nil)
	wantItems := []Item{
		{Source: 0, Target: 1, Time: 50},
		{Source: 2, Target: 3, Time: 60},
		{Remove: true, Source: 0, Target: 1, Time: 50},
	}
	if first != 1 || !slices.Equal(items, wantItems) {
		t.Fatalf("%v from %d", items, first)
	}
	if mark, err := b.Deliver(0, 1, items[:2]); mark != 2 || err != nil {
		t.Fatal(mark, err)
	}
	if got := b.Counts(1); got.Followers != 1 {
		t.Fatalf("counts %v", got)
	}
	if mark, err := b.Deliver(0, 1, items); mark != 3 || err != nil {
		t.Fatal(mark, err)
	}
	if got := b.Counts(1); got.Followers != 0 {
		t.Fatalf("counts %v", got)
	}
	a.Trim(1, 3)
	o, seq = a.Follow(2, 3, 99)
	want(o, seq, Already, 0)
	checkAll(t, a, b)
}

func TestDeliverRefuses(t *testing.T) {
	a, b := newPair(t, 10)
	good := Item{Source: 0, Target: 1, Time: 5}
	if mark, err := b.Deliver(0, 1, []Item{good, {Source: 2, Target: 1, Time: 6}}); mark != 2 || err != nil {
		t.Fatal(mark, err)
	}
	before := b.Checksum()
	for _, test := range []struct {
		name  string
		from  shard.ID
		first uint64
		items []Item
		mark  uint64
		err   error
	}{
		{"own shard", 1, 1, []Item{good}, 0, ErrShard},
		{"no such shard", 2, 1, []Item{good}, 0, ErrShard},
		{"gap", 0, 4, []Item{good}, 2, ErrGap},
		{"gap without items", 0, 4, nil, 2, ErrGap},
		{"number 0", 0, 0, []Item{good}, 2, ErrItem},
		{"target unknown here", 0, 3, []Item{good, {Source: 0, Target: 7}}, 2, ErrItem},
		{"target lives elsewhere", 0, 3, []Item{{Source: 2, Target: 4}}, 2, ErrItem},
		{"source lives elsewhere", 0, 3, []Item{{Source: 3, Target: 1}}, 2, ErrItem},
		{"no source", 0, 3, []Item{{Source: shard.NoUID, Target: 1}}, 2, ErrItem},
		{"no target", 0, 3, []Item{{Source: 0, Target: shard.NoUID}}, 2, ErrItem},
		{"source out of range", 0, 3, []Item{{Source: shard.NoUID - 1, Target: 1}}, 2, ErrItem},
		{"redelivered, unlooked at", 0, 1, []Item{{Source: 3, Target: 1}}, 2, nil},
		{"nothing", 0, 3, nil, 2, nil},
	} {
		mark, err := b.Deliver(test.from, test.first, test.items)
		if mark != test.mark || !errors.Is(err, test.err) {
			t.Errorf("%s: %d, %v", test.name, mark, err)
		}
	}
	if b.Checksum() != before {
		t.Error("a refused delivery changed something")
	}
	checkAll(t, a, b)
}

// What the source's shard says holds, also where the target's shard has something else.
func TestDeliverMends(t *testing.T) {
	_, b := newPair(t, 10)
	items := []Item{
		{Source: 0, Target: 1, Time: 5},
		{Source: 0, Target: 1, Time: 9},               // moves
		{Source: 2, Target: 1, Time: 5},               //
		{Source: 2, Target: 1, Time: 5},               // the same again
		{Remove: true, Source: 2, Target: 1, Time: 4}, // removes the other time
		{Remove: true, Source: 4, Target: 1, Time: 4}, // was never there
	}
	if mark, err := b.Deliver(0, 1, items); mark != 6 || err != nil {
		t.Fatal(mark, err)
	}
	if got := b.Page(Followers, 1, Newest, 10, nil); !slices.Equal(got, []Edge{{0, 9}}) {
		t.Errorf("followers %v", got)
	}
	checkAll(t, b)
}

func TestMutualAcrossShards(t *testing.T) {
	a, b := newPair(t, 10)
	a.Follow(0, 1, 5)
	b.Follow(1, 0, 6)
	toB, first := a.Outbox(1, 0, 10, nil)
	b.Deliver(0, first, toB)
	if a.Counts(0).Mutual != 0 || b.Counts(1).Mutual != 1 {
		t.Fatalf("mutual %v, %v after one delivery", a.Counts(0), b.Counts(1))
	}
	toA, first := b.Outbox(0, 0, 10, nil)
	a.Deliver(1, first, toA)
	if a.Counts(0).Mutual != 1 {
		t.Fatalf("mutual %v after both", a.Counts(0))
	}
	if got := a.Page(Mutual, 0, Newest, 5, nil); !slices.Equal(got, []Edge{{1, 5}}) {
		t.Errorf("mutual list of 0: %v", got)
	}
	if got := b.Page(Mutual, 1, Newest, 5, nil); !slices.Equal(got, []Edge{{0, 6}}) {
		t.Errorf("mutual list of 1: %v", got)
	}
	b.Unfollow(1, 0)
	if b.Counts(1).Mutual != 0 {
		t.Errorf("mutual %v after unfollow", b.Counts(1))
	}
	checkAll(t, a, b)
}

func TestTrimIsBounded(t *testing.T) {
	a, _ := newPair(t, 10)
	a.Follow(0, 1, 5)
	for _, applied := range []uint64{0, 7, 1} {
		a.Trim(1, applied)
	}
	if trimmed, last := a.OutboxRange(1); trimmed != 1 || last != 1 {
		t.Errorf("range %d, %d", trimmed, last)
	}
	for _, to := range []shard.ID{0, 2, 999} {
		a.Trim(to, 5)
		if trimmed, last := a.OutboxRange(to); trimmed != 0 || last != 0 {
			t.Errorf("range of %d: %d, %d", to, trimmed, last)
		}
		if items, _ := a.Outbox(to, 0, 5, nil); len(items) > 0 || a.InboxMark(to) != 0 {
			t.Errorf("shard %d has a stream", to)
		}
	}
	if _, seq := a.Follow(0, 3, 6); seq != 2 {
		t.Errorf("number %d follows 1", seq)
	}
	checkAll(t, a)
}

func TestOutboxGivesItsMemoryBack(t *testing.T) {
	a, _ := newPair(t, 10)
	for i := range uint64(100_000) {
		if i%2 == 0 {
			a.Follow(0, 1, uint32(i))
		} else {
			a.Unfollow(0, 1)
		}
		if i > 500 {
			a.Trim(1, i-500)
		}
	}
	if got := a.Stats().Memory.Outbox; got > 20<<10 {
		t.Errorf("501 items that wait take %d bytes", got)
	}
	if items, first := a.Outbox(1, 99_998, 9, nil); first != 99_999 || len(items) != 2 || items[0].Remove || !items[1].Remove {
		t.Errorf("%v from %d", items, first)
	}
}

func TestRegisterRefuses(t *testing.T) {
	a, b := newPair(t, 10)
	for _, id := range []string{"", strings.Repeat("x", 129), "a\nb", "\xff"} {
		if uid, err := a.Register([]byte(id)); !errors.Is(err, shard.ErrUserID) || uid != shard.NoUID {
			t.Errorf("%q: %d, %v", id, uid, err)
		}
	}
	if uid, err := a.Register(b.UserID(1)); !errors.Is(err, ErrWrongHome) || uid != shard.NoUID {
		t.Errorf("wrong home: %d, %v", uid, err)
	}
	if uid, err := a.Register(a.UserID(2)); uid != 2 || err != nil || a.Users() != 3 {
		t.Errorf("known: %d, %v, %d users", uid, err, a.Users())
	}
}

func TestReadsOfNobody(t *testing.T) {
	a, _ := newPair(t, 10)
	a.Follow(0, 2, 5)
	for _, uid := range []shard.UID{1, 6, shard.NoUID} {
		types := []FollowType{9}
		a.FollowTypes(uid, []shard.UID{0}, types)
		if a.UserID(uid) != nil || a.Counts(uid) != (Counts{}) || types[0] != NoFollow ||
			len(a.Page(Following, uid, Newest, 5, nil)) > 0 {
			t.Errorf("user %d is not nobody", uid)
		}
	}
	if len(a.Page(Mutual+1, 0, Newest, 5, nil)) > 0 || len(a.Page(Following, 0, Newest, 0, nil)) > 0 {
		t.Error("a page of nothing has items")
	}
	ids := [][]byte{[]byte("nobody"), a.UserID(4)}
	for len(ids) < 300 {
		ids = append(ids, a.UserID(2))
	}
	uids := make([]shard.UID, len(ids))
	a.LookupMany(ids, uids)
	for i, uid := range uids {
		if uid != a.Lookup(ids[i]) {
			t.Errorf("id %d, %q, is %d", i, ids[i], uid)
		}
	}
	if uids[0] != shard.NoUID || uids[1] != 4 || uids[299] != 2 {
		t.Errorf("uids %d, %d, %d", uids[0], uids[1], uids[299])
	}
}

func TestLoweredLimitKeepsFollows(t *testing.T) {
	a, _ := newPair(t, 2)
	a.Follow(0, 1, 5)
	a.Follow(0, 2, 6)
	a.SetFollowingLimit(1)
	if o, _ := a.Follow(0, 3, 7); o != FollowingFull {
		t.Errorf("%v above the lowered limit", o)
	}
	checkAll(t, a)
	loaded, err := load(Options{Layout: a.layout}, sortedRecords(dump(t, a)))
	if err != nil || loaded.FollowingLimit() != 1 || loaded.Counts(0).Following != 2 {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	a.SetFollowingLimit(0)
	if a.FollowingLimit() != DefaultFollowingLimit {
		t.Errorf("limit %d by default", a.FollowingLimit())
	}
}

// dump stores what has changed, as a map of records, and commits it.
func dump(t testing.TB, g *Graph) map[string][]byte {
	t.Helper()
	records := map[string][]byte{}
	f := g.Freeze()
	if more, err := f.Next(1<<30, func(key, value []byte) error {
		records[string(key)] = bytes.Clone(value)
		return nil
	}); more || err != nil {
		t.Fatal(more, err)
	}
	f.Commit()
	return records
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{Shard: 1}); !errors.Is(err, ErrShard) {
		t.Errorf("New: %v", err)
	}
	l := NewLoader(Options{Shard: 1})
	if err := l.Add([]byte{1}, []byte{1}); !errors.Is(err, ErrShard) {
		t.Errorf("Add: %v", err)
	}
	if _, err := l.Finish(); !errors.Is(err, ErrShard) {
		t.Errorf("Finish: %v", err)
	}
}

func TestStats(t *testing.T) {
	a, _ := newPair(t, 10)
	a.Follow(0, 1, 5)
	a.Follow(0, 2, 6)
	s := a.Stats()
	if s.Users != 3 || s.Follows != 2 || s.Followers != 1 || s.Waiting != 1 {
		t.Errorf("stats %+v", s)
	}
	if m := s.Memory; m.Names == 0 || m.Users == 0 || m.Outbox == 0 || m.Dirty == 0 || m.Total() < m.Names+m.Users {
		t.Errorf("memory %+v", m)
	}
}
