package e2e

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kithgraph/kith/client"
)

const (
	infoBatch     = 100
	verifyWorkers = 16
)

// assertCounts compares every user's three counts with the model and returns the sum of the mutual counts.
func assertCounts(t *testing.T, c *client.Client, m *model) int {
	t.Helper()
	mutuals := 0
	for batch := range slices.Chunk(m.users(), infoBatch) {
		infos, err := c.Info(t.Context(), batch...)
		if err != nil {
			t.Fatal(err)
		}
		for i, u := range batch {
			got := [3]int{int(infos[i].Followers), int(infos[i].Following), int(infos[i].Mutual)}
			want := [3]int{len(m.followers[u]), len(m.following[u]), len(m.mutuals(u))}
			if got != want {
				t.Fatalf("user %q has followers, following, mutual %v, not %v", u, got, want)
			}
			mutuals += got[2]
		}
	}
	return mutuals
}

// assertLists walks every user's three lists to the end and compares them with the model.
func assertLists(t *testing.T, c *client.Client, m *model) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(verifyWorkers)
	for _, u := range m.users() {
		group.Go(func() error {
			lists := []struct {
				name string
				walk iter.Seq2[client.Item, error]
				want map[string]bool
			}{
				{"followers", c.Followers(ctx, u), m.followers[u]},
				{"following", c.Following(ctx, u), m.following[u]},
				{"mutuals", c.Mutuals(ctx, u), m.mutuals(u)},
			}
			for _, l := range lists {
				if err := compareList(l.walk, l.want); err != nil {
					return fmt.Errorf("%s of %q: %w", l.name, u, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func compareList(walk iter.Seq2[client.Item, error], want map[string]bool) error {
	seen := make(map[string]bool, len(want))
	newest := uint32(1<<32 - 1)
	for item, err := range walk {
		switch {
		case err != nil:
			return err
		case !want[item.UserID]:
			return fmt.Errorf("has %q, which the model has not", item.UserID)
		case seen[item.UserID]:
			return fmt.Errorf("has %q twice", item.UserID)
		case item.FollowTime > newest:
			return fmt.Errorf("is not newest first at %q", item.UserID)
		}
		seen[item.UserID], newest = true, item.FollowTime
	}
	if len(seen) != len(want) {
		return fmt.Errorf("has %d users, not %d", len(seen), len(want))
	}
	return nil
}

// assertChecks compares the follow types of random pairs, half of them connected.
func assertChecks(t *testing.T, c *client.Client, m *model, calls int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("checks with seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	users := m.users()
	slices.Sort(users)
	for range calls {
		me := users[rng.IntN(len(users))]
		var others []string
		for x := range m.following[me] {
			if len(others) < 25 {
				others = append(others, x)
			}
		}
		for len(others) < 50 {
			others = append(others, users[rng.IntN(len(users))])
		}
		results, err := c.Check(t.Context(), me, others...)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range others {
			if want := m.followType(me, x); results[i].Type != want {
				t.Fatalf("check of %q by %q is %v, not %v", x, me, results[i].Type, want)
			}
		}
	}
}

// assertGraph compares everything that can be asked with the model.
func assertGraph(t *testing.T, c *client.Client, m *model) {
	t.Helper()
	awaitDelivery(t, c)
	assertCounts(t, c, m)
	assertLists(t, c, m)
	assertChecks(t, c, m, 200)
}

// awaitDelivery waits until no change is on its way between two shards.
func awaitDelivery(t *testing.T, c *client.Client) {
	t.Helper()
	await(t, "the outboxes to drain", func(ctx context.Context) (bool, error) {
		s, err := c.Status(ctx)
		if err != nil {
			return false, err
		}
		waiting := uint64(0)
		for _, sh := range s.Shards {
			waiting += sh.Outbox
		}
		return s.Ready && waiting == 0, nil
	})
}

// await polls a condition of another process, which has no way to tell us.
func await(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// exported returns all edges of the node with their times.
func exported(t *testing.T, c *client.Client) map[[2]string]uint32 {
	t.Helper()
	edges := map[[2]string]uint32{}
	for e, err := range c.Export(t.Context(), client.ExportOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		key := [2]string{e.Follower, e.Followee}
		if _, twice := edges[key]; twice {
			t.Fatalf("the export has %q twice", key)
		}
		edges[key] = e.Time
	}
	return edges
}
