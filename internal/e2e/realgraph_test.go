package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
)

// importTally is the fixed JSON shape of `kith import`.
type importTally struct {
	Lines         int     `json:"lines"`
	Followed      int     `json:"followed"`
	Already       int     `json:"already"`
	SelfFollow    int     `json:"self_follow"`
	FollowingFull int     `json:"following_full"`
	Bad           int     `json:"bad"`
	Seconds       float64 `json:"seconds"`
}

func (n *node) importFile(path string) importTally {
	n.t.Helper()
	var tally importTally
	if err := json.Unmarshal(n.kith("import", path), &tally); err != nil {
		n.t.Fatal(err)
	}
	return tally
}

// published holds what the publishers of a graph say of it.
type published struct {
	file        string
	tally       importTally
	mutualPairs int
}

func TestEgoTwitter(t *testing.T) {
	testPublishedGraph(t, published{
		file:        "ego-twitter.tsv.gz",
		tally:       importTally{Lines: 2_420_766, Followed: 1_768_135, Already: 652_609, SelfFollow: 22},
		mutualPairs: 425_839,
	})
}

func TestSocEpinions(t *testing.T) {
	testPublishedGraph(t, published{
		file:        "soc-epinions1.tsv.gz",
		tally:       importTally{Lines: 508_837, Followed: 508_837},
		mutualPairs: 103_097,
	})
}

// testPublishedGraph imports a real graph through the command line, compares
// everything with a plain model of the file, restarts, and makes the round trip
// of export and import.
func testPublishedGraph(t *testing.T, p published) {
	if testing.Short() {
		t.Skip("real graphs take their time: not with -short")
	}
	path := sharedGraph(t, p.file)
	m := readModel(t, path)

	n := startNode(t)
	tally := n.importFile(path)
	t.Logf("imported in %.1f s, %.0f lines/s", tally.Seconds, float64(tally.Lines)/tally.Seconds)
	tally.Seconds = 0
	if tally != p.tally {
		t.Fatalf("the import says %+v, published is %+v", tally, p.tally)
	}
	c := n.dial()
	awaitDelivery(t, c)
	if mutuals := assertCounts(t, c, m); mutuals != 2*p.mutualPairs {
		t.Fatalf("the mutual counts add up to %d, published is 2*%d", mutuals, p.mutualPairs)
	}
	assertLists(t, c, m)
	assertChecks(t, c, m, 1000)

	before := exported(t, c)
	n.stop()
	t.Logf("ready again after %v", n.start().Round(time.Millisecond))
	c = n.dial()
	assertLogsTruncated(t, c)
	if after := exported(t, c); !maps.Equal(before, after) {
		t.Fatalf("before the restart %d edges were exported, after it %d, or their times differ", len(before), len(after))
	}
	assertCounts(t, c, m)
	assertRoundTrip(t, n, before)
}

// assertRoundTrip exports through the command line into a file and imports that into another node.
func assertRoundTrip(t *testing.T, n *node, want map[[2]string]uint32) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "graph.tsv")
	n.kith("export", file)
	other := startNode(t)
	if tally := other.importFile(file); tally.Followed != len(want) || tally.Lines != len(want) {
		t.Fatalf("importing the export of %d edges says %+v", len(want), tally)
	}
	if got := exported(t, other.dial()); !maps.Equal(want, got) {
		t.Fatalf("the round trip turned %d edges into %d, or changed times", len(want), len(got))
	}
}

// assertLogsTruncated checks that no shard would replay what its snapshot holds.
func assertLogsTruncated(t *testing.T, c *client.Client) {
	t.Helper()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range s.Shards {
		if sh.Snapshot == 0 || sh.LogFirst <= 1 {
			t.Errorf("shard %d has a snapshot at %d and a log from %d", sh.Shard, sh.Snapshot, sh.LogFirst)
		}
	}
}
