package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/wire"
)

const killRounds = 10

// killImport is the graph that the kill rounds import: rows in the order of the
// file, and which of them were acknowledged in any round.
type killImport struct {
	rows  []client.ImportRow
	whole *model
	mu    struct {
		sync.Mutex
		acknowledged []bool // by row
	}
}

func newKillImport(rng *rand.Rand, users, rows int) *killImport {
	k := &killImport{whole: newModel()}
	k.mu.acknowledged = make([]bool, rows)
	for range rows {
		// Squaring favours low numbers: popular people and busy followers.
		pick := func() string {
			f := rng.Float64()
			return "user" + strconv.Itoa(int(f*f*float64(users)))
		}
		row := client.ImportRow{Follower: pick(), Followee: pick(), Time: 1_500_000_000 + rng.Uint32N(100_000_000)}
		k.rows = append(k.rows, row)
		k.whole.add(row.Follower, row.Followee)
	}
	return k
}

// acknowledged returns a copy of which rows were, as of now.
func (k *killImport) acknowledged() []bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.mu.acknowledged)
}

// setAcknowledged forgets what was acknowledged by a future that a power loss undid.
func (k *killImport) setAcknowledged(rows []bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.acknowledged = slices.Clone(rows)
}

// run imports all rows from the first, notes what is acknowledged, and calls
// reached when the results of so many rows have come. It ends with an error when
// the node dies.
func (k *killImport) run(ctx context.Context, c *client.Client, results int64, reached func()) error {
	im := c.Import(ctx, client.ImportOptions{OnResult: func(r client.ImportResult) {
		if r.Code == wire.OK {
			k.mu.Lock()
			k.mu.acknowledged[r.Number] = true
			k.mu.Unlock()
		}
		if r.Number == results {
			reached()
		}
	}})
	for _, row := range k.rows {
		if err := im.Add(row); err != nil {
			break
		}
	}
	return im.Close()
}

// TestKillDuringImport kills the node ten times at random moments of an import.
// After each restart nothing acknowledged may be missing and nothing half applied;
// after an undisturbed repeat the graph is the same as if nothing had happened.
func TestKillDuringImport(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	rounds, rows := killRounds, 200_000
	if testing.Short() {
		rounds, rows = 3, 60_000
	}
	k := newKillImport(rng, 20_000, rows)
	n := startNode(t)
	for round := range rounds {
		began := time.Now()
		c := n.dial()
		k.interrupt(t, c, rng, n.kill)
		c.Close()
		lived := time.Since(began)
		back := n.start()
		t.Logf("round %d: killed after %v, ready again after %v", round, lived.Round(time.Millisecond), back.Round(time.Millisecond))
		k.assertNothingLost(t, n.dial(), k.acknowledged())
	}
	c := n.dial()
	k.finish(t, c)
	assertGraph(t, c, k.whole)
}

// interrupt runs an import, calls disaster while it is somewhere in the middle,
// and waits for its end.
func (k *killImport) interrupt(t *testing.T, c *client.Client, rng *rand.Rand, disaster func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reached, ended := make(chan struct{}), make(chan error, 1)
	at := rng.Int64N(int64(len(k.rows)) * 9 / 10)
	go func() { ended <- k.run(ctx, c, at, func() { close(reached) }) }()
	select {
	case <-reached:
		disaster()
	case err := <-ended:
		t.Fatalf("the import ended before row %d: %v", at, err)
	}
	cancel()
	<-ended
}

// finish runs an import to its end.
func (k *killImport) finish(t *testing.T, c *client.Client) {
	t.Helper()
	if err := k.run(t.Context(), c, -1, nil); err != nil {
		t.Fatal(err)
	}
}

// assertNothingLost checks the state between two kills: every acknowledged row is
// there with its time, nothing is there that was not in the file, and both
// directions, all counts and all lists agree with each other.
func (k *killImport) assertNothingLost(t *testing.T, c *client.Client, acknowledged []bool) {
	t.Helper()
	awaitDelivery(t, c)
	edges := exported(t, c)
	lost := 0
	for i, row := range k.rows {
		if !acknowledged[i] || row.Follower == row.Followee {
			continue
		}
		if _, ok := edges[[2]string{row.Follower, row.Followee}]; !ok {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("%d acknowledged follows are missing", lost)
	}
	state := newModel()
	for e := range edges {
		if !k.whole.following[e[0]][e[1]] {
			t.Fatalf("%q is in no line of the file", e)
		}
		state.add(e[0], e[1])
	}
	assertCounts(t, c, state)
	assertLists(t, c, state)
}
