package server

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

func newTestCursors(t *testing.T) *cursorCodec {
	t.Helper()
	c, err := newCursorCodec(identity{ClusterSecret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// goldenCursors pins the stored form: clients keep cursors across restarts and
// upgrades. Never edit a line, only add.
var goldenCursors = []struct {
	kind   engine.ListKind
	owner  shard.UID
	at     engine.Position
	cursor string
}{
	{engine.Followers, 0, 0, "oUtoWB-4gjh_7OYR5moDNA"},
	{engine.Following, 22, 1702262118<<32 | 7, "ADFsEMfBayoNRB7fVb473w"},
	{engine.Mutual, shard.NoUID - 1, engine.Newest, "HCG7p5Zz03yZPrTy-5pLJA"},
}

func TestCursorIsGolden(t *testing.T) {
	c, s := newTestCursors(t), &cursorScratch{}
	for _, g := range goldenCursors {
		if got := string(c.append(nil, s, g.kind, g.owner, g.at)); got != g.cursor {
			t.Errorf("%d of %d at %d is %s, not %s", g.kind, g.owner, g.at, got, g.cursor)
		}
		if at, err := c.parse([]byte(g.cursor), s, g.kind, g.owner); err != nil || at != g.at {
			t.Errorf("%s: %d, %v", g.cursor, at, err)
		}
	}
}

func TestCursorRoundTrip(t *testing.T) {
	rng := newRand(t)
	c, s := newTestCursors(t), &cursorScratch{}
	for range 1000 {
		kind, owner, at := engine.ListKind(rng.IntN(3)), shard.UID(rng.Uint32()), engine.Position(rng.Uint64())
		cursor := c.append(nil, s, kind, owner, at)
		if len(cursor) != cursorChars {
			t.Fatalf("%s has %d characters", cursor, len(cursor))
		}
		if got, err := c.parse(cursor, s, kind, owner); err != nil || got != at {
			t.Fatalf("%d, %d, %d came back as %d, %v", kind, owner, at, got, err)
		}
	}
}

func wantBadCursor(t *testing.T, c *cursorCodec, cursor []byte, kind engine.ListKind, owner shard.UID) {
	t.Helper()
	if at, err := c.parse(cursor, &cursorScratch{}, kind, owner); !errors.Is(err, errBadCursor) {
		t.Errorf("%q was taken for %d (%v)", cursor, at, err)
	}
}

func TestCursorWithAnyBitChangedIsRefused(t *testing.T) {
	c := newTestCursors(t)
	good := c.append(nil, &cursorScratch{}, engine.Following, 77, 12345<<32|6)
	block, err := base64.RawURLEncoding.DecodeString(string(good))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(block) {
		block[bit/8] ^= 1 << (bit % 8)
		wantBadCursor(t, c, base64.RawURLEncoding.AppendEncode(nil, block), engine.Following, 77)
		block[bit/8] ^= 1 << (bit % 8)
	}
	for bit := range 8 * len(good) {
		good[bit/8] ^= 1 << (bit % 8)
		wantBadCursor(t, c, good, engine.Following, 77)
		good[bit/8] ^= 1 << (bit % 8)
	}
	for n := range good {
		wantBadCursor(t, c, good[:n], engine.Following, 77)
	}
	wantBadCursor(t, c, append(good[:cursorChars:cursorChars], 'A'), engine.Following, 77)
	wantBadCursor(t, c, append(good[:cursorChars-1:cursorChars-1], '\n'), engine.Following, 77)
}

func TestCursorOfAnotherListIsRefused(t *testing.T) {
	c := newTestCursors(t)
	cursor := c.append(nil, &cursorScratch{}, engine.Following, 77, 12345<<32|6)
	wantBadCursor(t, c, cursor, engine.Followers, 77)
	wantBadCursor(t, c, cursor, engine.Mutual, 77)
	wantBadCursor(t, c, cursor, engine.Following, 78)
	for _, id := range []identity{{ClusterSecret: [16]byte{1}}, {ClusterID: [16]byte{1}, ClusterSecret: testSecret}} {
		other, err := newCursorCodec(id)
		if err != nil {
			t.Fatal(err)
		}
		wantBadCursor(t, other, cursor, engine.Following, 77)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAA"))
	codec, err := newCursorCodec(identity{ClusterSecret: testSecret})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cursor []byte) {
		if _, err := codec.parse(cursor, &cursorScratch{}, engine.Mutual, 77); err == nil {
			t.Errorf("%q is a cursor of 77", cursor)
		}
	})
}
