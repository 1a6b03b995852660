package shard

import (
	"errors"
	"strings"
	"testing"
)

// goldenHomes pins assignments that stored clusters depend on. A change here is
// a change of every stored cluster: never edit a line, only add.
var goldenHomes = []struct {
	id               string
	of4, of16, of256 ID
}{
	{"alice", 1, 9, 73},
	{"bob", 3, 11, 59},
	{"carol", 0, 8, 56},
	{"a", 3, 11, 91},
	{"0", 0, 12, 236},
	{"214328887", 0, 12, 28},
	{"did:plc:ewvi7nxzyoun6zhxrhs64oiz", 1, 9, 89},
	{"köln", 3, 3, 99},
	{"ユーザー", 3, 11, 107},
	{strings.Repeat("x", MaxUserIDBytes), 0, 12, 236},
}

func mustLayout(t *testing.T, shards int) Layout {
	t.Helper()
	l, err := NewLayout(shards)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestHomeIsGolden(t *testing.T) {
	l4, l16, l256 := mustLayout(t, 4), mustLayout(t, 16), mustLayout(t, 256)
	for _, g := range goldenHomes {
		id := []byte(g.id)
		if a, b, c := l4.Home(id), l16.Home(id), l256.Home(id); a != g.of4 || b != g.of16 || c != g.of256 {
			t.Errorf("{%q, %d, %d, %d}, not {%d, %d, %d}", g.id, a, b, c, g.of4, g.of16, g.of256)
		}
	}
}

func TestHomesOfDoubledClusterRefine(t *testing.T) {
	for shards := 1; shards < MaxShards; shards *= 2 {
		small, large := mustLayout(t, shards), mustLayout(t, 2*shards)
		for _, g := range goldenHomes {
			if s, d := small.Home([]byte(g.id)), large.Home([]byte(g.id)); d != s && d != s+ID(shards) {
				t.Errorf("%q moves from %d of %d to %d of %d", g.id, s, shards, d, 2*shards)
			}
		}
	}
}

func TestUIDPacksNumberAndShard(t *testing.T) {
	for shards := 1; shards <= MaxShards; shards *= 2 {
		l := mustLayout(t, shards)
		if l.Shards() != shards {
			t.Fatalf("%d shards became %d", shards, l.Shards())
		}
		for _, n := range []uint32{0, 1, 77, l.UsersPerShard() - 1} {
			for _, s := range []ID{0, ID(shards - 1), ID(shards / 2)} {
				u := l.UID(n, s)
				if l.Local(u) != n || l.HomeOf(u) != s || u == NoUID {
					t.Errorf("%d shards: user %d of shard %d has uid %d, which is user %d of shard %d",
						shards, n, s, u, l.Local(u), l.HomeOf(u))
				}
			}
		}
	}
}

func TestUIDIsGolden(t *testing.T) {
	if u := mustLayout(t, 4).UID(5, 2); u != 22 {
		t.Errorf("user 5 of shard 2 of 4 has uid %d, not 22", u)
	}
}

func TestNewLayoutRefuses(t *testing.T) {
	for _, n := range []int{-1, 0, 3, 5, 257, 512} {
		if _, err := NewLayout(n); !errors.Is(err, ErrShardCount) {
			t.Errorf("NewLayout(%d): %v", n, err)
		}
	}
}

func TestCheckUserID(t *testing.T) {
	good := []string{"a", "alice smith", "köln", "ユーザー", "\u00a0", strings.Repeat("x", MaxUserIDBytes), "\ufffd"}
	for _, id := range good {
		if err := CheckUserID([]byte(id)); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	bad := []string{"", strings.Repeat("x", MaxUserIDBytes+1), "a\xffb", "a\nb", "\x00", "a\x7f", "\u0085", "\xc3"}
	for _, id := range bad {
		if err := CheckUserID([]byte(id)); !errors.Is(err, ErrUserID) {
			t.Errorf("%q was accepted", id)
		}
	}
}

func FuzzCheckUserID(f *testing.F) {
	f.Add([]byte("alice"))
	f.Add([]byte("a\xff"))
	f.Fuzz(func(t *testing.T, id []byte) {
		if CheckUserID(id) == nil && (len(id) == 0 || len(id) > MaxUserIDBytes) {
			t.Errorf("%q was accepted", id)
		}
	})
}
