package engine

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/kithgraph/kith/shard"
)

// formatsExample is the graph whose records FORMATS.md shows.
func formatsExample(t *testing.T) (Options, *Graph) {
	t.Helper()
	layout, err := shard.NewLayout(2)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(t, layout, 0, 5000)
	for n, id := range []string{"carol", "dave"} {
		if uid, err := g.Register([]byte(id)); err != nil || uid != shard.UID(2*n) {
			t.Fatalf("%q is user %d, %v", id, uid, err)
		}
	}
	g.Follow(0, 2, 1702262118)
	g.Follow(0, 3, 1702262120)
	g.Follow(0, 5, 1702265718)
	g.Unfollow(0, 5)
	g.Trim(1, 1)
	if _, err := g.Deliver(1, 1, []Item{{Source: 3, Target: 0, Time: 1702262119}}); err != nil {
		t.Fatal(err)
	}
	return Options{Layout: layout}, g
}

// The worked records in FORMATS.md are, byte for byte, what is stored, and load.
func TestFormatsDocument(t *testing.T) {
	documented := documentRecords(t, "FORMATS.md")
	o, g := formatsExample(t)
	stored := sortedRecords(dump(t, g))
	for i := range max(len(stored), len(documented)) {
		var want, got record
		if i < len(documented) {
			want = documented[i]
		}
		if i < len(stored) {
			got = stored[i]
		}
		if got.key != want.key || !bytes.Equal(got.value, want.value) {
			t.Errorf("record %d is\n%x = %x, the document says\n%x = %x", i, got.key, got.value, want.key, want.value)
		}
	}
	loaded, err := load(o, documented)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Checksum() != g.Checksum() {
		t.Error("the documented records load into another graph")
	}
	checkAll(t, g, loaded)
}

// documentRecords reads the records out of a document: in its fenced blocks that
// begin with the word key, each line has hex first and then what it means; a line
// that begins with key or value starts that part of a record.
func documentRecords(t *testing.T, file string) (records []record) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "\nkey") {
			continue
		}
		parts := map[string][]byte{}
		part := ""
		lines := bufio.NewScanner(strings.NewReader(block))
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) > 0 && (fields[0] == "key" || fields[0] == "value") {
				part, fields = fields[0], fields[1:]
			}
			if len(fields) == 0 {
				continue
			}
			octets, err := hex.DecodeString(fields[0])
			if err != nil {
				t.Fatalf("%s: %q: %v", file, lines.Text(), err)
			}
			parts[part] = append(parts[part], octets...)
		}
		records = append(records, record{string(parts["key"]), parts["value"]})
	}
	if len(records) == 0 {
		t.Fatalf("%s shows no records", file)
	}
	return records
}

// Replicas of different builds compare their checksums.
func TestChecksumIsGolden(t *testing.T) {
	const golden = 0x791577a26a029ab5
	if _, g := formatsExample(t); g.Checksum() != golden {
		t.Errorf("the example's checksum is %#x, not %#x", g.Checksum(), uint64(golden))
	}
}

// Every fact of the state counts.
func TestChecksumSeesEverything(t *testing.T) {
	seen := map[uint64]string{}
	for name, change := range map[string]func(g *Graph){
		"nothing":  func(g *Graph) {},
		"user":     func(g *Graph) { g.Register([]byte("frank")) },
		"follow":   func(g *Graph) { g.Follow(2, 0, 7) },
		"time":     func(g *Graph) { g.Follow(2, 0, 8) },
		"unfollow": func(g *Graph) { g.Unfollow(0, 2) },
		"trim":     func(g *Graph) { g.Trim(1, 2) },
		"limit":    func(g *Graph) { g.SetFollowingLimit(9) },
		"mark":     func(g *Graph) { g.marks[1]++ },
		"item":     func(g *Graph) { g.outbox[1].at(3).target = 7 },
	} {
		_, g := formatsExample(t)
		change(g)
		if other, ok := seen[g.Checksum()]; ok {
			t.Errorf("%s and %s have one checksum", name, other)
		}
		seen[g.Checksum()] = name
	}
	_, g := formatsExample(t)
	g.Follow(2, 0, 7)
	g.Unfollow(2, 0)
	if seen[g.Checksum()] != "nothing" {
		t.Error("the checksum depends on history")
	}
}
