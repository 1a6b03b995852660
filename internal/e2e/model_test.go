package e2e

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kithgraph/kith/client"
)

// model is a follow graph as two plain maps, and the tally of the lines that made it.
type model struct {
	following, followers map[string]map[string]bool
	lines, self, already int
	follows              int
}

func newModel() *model {
	return &model{following: map[string]map[string]bool{}, followers: map[string]map[string]bool{}}
}

func (m *model) add(follower, followee string) {
	m.lines++
	switch {
	case follower == followee:
		m.self++
	case m.following[follower][followee]:
		m.already++
	default:
		m.follows++
		link(m.following, follower, followee)
		link(m.followers, followee, follower)
	}
}

func link(sets map[string]map[string]bool, owner, member string) {
	set := sets[owner]
	if set == nil {
		set = map[string]bool{}
		sets[owner] = set
	}
	set[member] = true
}

// users returns everybody who follows or is followed.
func (m *model) users() []string {
	all := make([]string, 0, len(m.following))
	for u := range m.following {
		all = append(all, u)
	}
	for u := range m.followers {
		if m.following[u] == nil {
			all = append(all, u)
		}
	}
	return all
}

// mutuals returns whom u follows and is followed by.
func (m *model) mutuals(u string) map[string]bool {
	both := map[string]bool{}
	for v := range m.following[u] {
		if m.followers[u][v] {
			both[v] = true
		}
	}
	return both
}

func (m *model) followType(me, x string) client.FollowType {
	var t client.FollowType
	if m.followers[me][x] {
		t |= client.Follower
	}
	if m.following[me][x] {
		t |= client.Following
	}
	return t
}

// sharedGraph returns the path of a real follow graph, or skips the test.
func sharedGraph(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not beside the repository (../shared/data): real graphs are not part of it", name)
	} else if err != nil {
		t.Fatal(err)
	}
	return path
}

// readModel reads a gzipped edge list without any of the project's own code.
func readModel(t *testing.T, path string) *model {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel()
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		follower, followee, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			t.Fatalf("%s: not an edge: %q", path, lines.Text())
		}
		m.add(follower, followee)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}
