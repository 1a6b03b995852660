package graphgen

import (
	"errors"
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// shape is what a graph looks like.
type shape struct {
	Lines, Follows, Mutual int
	Followers, Following   map[int]int
	Digest                 uint64
}

func look(t *testing.T, o Options) shape {
	t.Helper()
	s := shape{Followers: map[int]int{}, Following: map[int]int{}}
	type pair struct{ a, b int }
	seen, digest := map[pair]uint32{}, fnv.New64a()
	err := Generate(o, func(e Edge) error {
		s.Lines++
		fmt.Fprintln(digest, e)
		if e.Follower == e.Followee || e.Follower < 0 || e.Followee < 0 || e.Follower >= o.Users || e.Followee >= o.Users {
			t.Fatalf("no follow: %+v", e)
		}
		if e.Time < firstFollow || e.Time > lastFollow {
			t.Fatalf("out of time: %+v", e)
		}
		if at, repeated := seen[pair{e.Follower, e.Followee}]; repeated {
			if at != e.Time {
				t.Fatalf("%+v had the time %d before", e, at)
			}
			return nil
		}
		seen[pair{e.Follower, e.Followee}] = e.Time
		s.Follows++
		s.Following[e.Follower]++
		s.Followers[e.Followee]++
		if _, mutual := seen[pair{e.Followee, e.Follower}]; mutual {
			s.Mutual += 2
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Digest = digest.Sum64()
	return s
}

func TestGraphHasTheShapeOfARealOne(t *testing.T) {
	for _, o := range []Options{{Users: 3000, Follows: 60000, Seed: 1}, {Users: 10000, Follows: 400000, Seed: 7}} {
		s := look(t, o)
		t.Logf("%+v: %d lines, %d follows, %d mutual, celebrities %d and %d, user 2 %d, user 10 %d, following of user 5 %d", o, s.Lines,
			s.Follows, s.Mutual, s.Followers[0], s.Followers[1], s.Followers[2], s.Followers[10], s.Following[5])
		if d := float64(s.Follows) / float64(o.Follows); d < 0.85 || d > 1.15 {
			t.Errorf("%+v: %d follows", o, s.Follows)
		}
		if m := float64(s.Mutual) / float64(s.Follows); m < 0.15 || m > 0.28 {
			t.Errorf("%+v: %d of %d follows are mutual", o, s.Mutual, s.Follows)
		}
		if s.Followers[0] < o.Users/5 || s.Followers[1] < o.Users/10 {
			t.Errorf("%+v: %d and %d follow the celebrities", o, s.Followers[0], s.Followers[1])
		}
		for user, following := range s.Following {
			if following > maxFollowing {
				t.Errorf("%+v: user %d follows %d", o, user, following)
			}
		}
	}
}

func TestSameOptionsGiveTheSameGraph(t *testing.T) {
	o := Options{Users: 1000, Follows: 10000, Seed: 1}
	first := look(t, o)
	if again := look(t, o); again.Digest != first.Digest {
		t.Error("two graphs of the same options differ")
	}
	o.Seed++
	if other := look(t, o); other.Digest == first.Digest {
		t.Error("another seed gives the same graph")
	}
}

func TestUserIDsAreDistinctAndValid(t *testing.T) {
	seen := map[string]int{}
	for i := range 50000 {
		id := UserID(i)
		if other, ok := seen[id]; ok {
			t.Fatalf("%q names users %d and %d", id, other, i)
		}
		seen[id] = i
		if err := shard.CheckUserID([]byte(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGenerateStopsAtAnError(t *testing.T) {
	full, calls := errors.New("full"), 0
	err := Generate(Options{Users: 100, Follows: 500}, func(Edge) error {
		calls++
		return full
	})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Users: 9}, {Users: 100, Follows: -1}, {Users: 100, Follows: 1100}, {Users: 100000, Follows: 1001 * 100000}} {
		if err := Generate(o, nil); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
