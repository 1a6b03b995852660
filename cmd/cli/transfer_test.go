package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/kithgraph/kith/wire"
)

// wild is an edge list with everything in it that is found in the wild.
const wild = `# FromNodeId	ToNodeId
alice	bob
alice bob
alice carol 1702262118

carol  carol
lonely
a b c d
dave	alice	1600000000
dave x
dave y
dave z
dave alice 5
mia schmidt	köln	1650000000
dave	mia schmidt	1650000001
dave one-too-many
`

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t *testing.T, text string) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return enc.EncodeAll([]byte(text), nil)
}

// exported returns all follows of a node, in an order that does not depend on it.
func exported(t *testing.T, sh shell) string {
	t.Helper()
	r := sh.run("export", "-")
	if r.status != exitOK || r.stderr != "" {
		t.Fatal(r)
	}
	lines := strings.SplitAfter(r.stdout, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestImport(t *testing.T) {
	rejects := filepath.Join(t.TempDir(), "rejects")
	var b strings.Builder
	graph := ""
	for _, in := range []struct {
		name    string
		content []byte
		args    []string
	}{
		{"graph.tsv", []byte(wild), []string{"--output", "json"}},
		{"graph.tsv.gz", gzipped(t, wild), []string{"--output", "tsv"}},
		{"graph.tsv.zst", zstandard(t, wild), []string{"--output", "table"}},
		{"standard-input", []byte(wild), []string{"--rejects", rejects}},
	} {
		sh := startNode(t)
		path := write(t, in.name, in.content)
		if in.name == "standard-input" {
			path, sh.stdin = "-", bytes.NewReader(in.content)
		}
		fmt.Fprintf(&b, "$ kith import %s %s\n%v", in.name, strings.ReplaceAll(strings.Join(in.args, " "), rejects, "REJECTS"),
			sh.run(append([]string{"import", path, "--window", "1"}, in.args...)...))
		b.WriteString("-- again --\n" + sh.run("import", write(t, "again", []byte(wild)), "-o", "json").stdout + "\n")
		graph = exported(t, sh)
	}
	text, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "import", b.String()+"-- rejects --\n"+string(text)+"-- exported --\n"+graph)
}

func TestRejectsCanBeImported(t *testing.T) {
	sh := startNode(t)
	path := filepath.Join(t.TempDir(), "rejects")
	sh.run("import", write(t, "wild", []byte(wild)), "--rejects", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	for line := range strings.Lines(string(text)) {
		again.WriteString(strings.SplitN(line, "\t", 3)[2])
	}
	sh.stdin = strings.NewReader(again.String())
	r := sh.run("import", "-", "--output", "json")
	if want := `{"lines":4,"followed":0,"already":0,"self_follow":1,"following_full":1,"bad":2,"seconds":0.5}` + "\n"; r.stdout != want {
		t.Errorf("%v", r)
	}
}

// chain is an edge list of n lines in which each user follows the next.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "u%d\tu%d\t%d\n", i, i+1, 1_600_000_000+i)
	}
	return b.String()
}

// signallingReader interrupts a command when half of the text was read.
type signallingReader struct {
	text   *strings.Reader
	half   int
	signal func()
}

func (r *signallingReader) Read(p []byte) (int, error) {
	if r.text.Len() <= r.half {
		r.signal()
	}
	return r.text.Read(p[:min(len(p), 1000)])
}

func TestInterruptedImportResumes(t *testing.T) {
	text := "# header\nnonsense\n" + chain(2000)
	signalled, signal := context.WithCancel(context.Background())
	defer signal()
	sh := startNode(t)
	sh.signalled, sh.stdin = signalled, &signallingReader{strings.NewReader(text), len(text) / 2, signal}
	rejects := filepath.Join(t.TempDir(), "re jects")
	first := sh.run("import", "-", "--rejects", rejects)
	var acknowledged, next int
	line := "kith: interrupted; every line up to %d is acknowledged; to go on: kith --addr " + sh.addr + " import --rejects '" + rejects + "' --from-line %d -\n"
	if _, err := fmt.Sscanf(first.stderr, line, &acknowledged, &next); err != nil || first.status != exitRefused || next != acknowledged+1 {
		t.Fatalf("%v: %v", err, first)
	}
	sh.signalled = nil
	if got := strings.Count(exported(t, sh), "\n"); got != acknowledged-2 {
		t.Errorf("%d lines are acknowledged, %d are there", acknowledged-2, got)
	}
	sh.stdin = strings.NewReader(text)
	second := sh.run("import", "-", "--rejects", rejects, "--from-line", fmt.Sprint(next))
	if want := fmt.Sprintf(`{"lines":%d,"followed":%[1]d,"already":0,"self_follow":0,"following_full":0,"bad":0,"seconds":0.5}`+"\n", 2002-acknowledged); second.stdout != want {
		t.Errorf("%v", second)
	}
	if diff := cmp.Diff(sorted(chain(2000)), exported(t, sh)); diff != "" {
		t.Error(diff)
	}
	listed, err := os.ReadFile(rejects)
	if err != nil || strings.Count(string(listed), "\n") != 1 || !strings.HasPrefix(string(listed), "2\t") {
		t.Errorf("%s%v", listed, err)
	}
}

func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestFailedImportSaysWhereToResume(t *testing.T) {
	addr := importNode(t, func(requests int64) bool { return requests <= 2 })
	path := write(t, "graph", []byte("# header\n"+chain(5000)))
	r := shell{addr: addr}.run("import", path, "--window", "1", "--patience", "50ms")
	if r.status != exitUnreachable || !strings.Contains(r.stdout, `{"lines":2000,"followed":2000,`) ||
		!strings.Contains(r.stderr, fmt.Sprintf("every line up to 2001 is acknowledged; to go on: kith --addr %s import --from-line 2002 %s\n", addr, path)) {
		t.Errorf("%v", r)
	}
}

func TestDamagedInputSaysWhereToResume(t *testing.T) {
	packed := gzipped(t, chain(5000))
	path := write(t, "graph.gz", packed[:len(packed)/2])
	sh := startNode(t)
	r := sh.run("import", path)
	there := strings.Count(exported(t, sh), "\n")
	if r.status != exitRefused || there == 0 || !strings.Contains(r.stderr, fmt.Sprintf(
		"the compressed input is damaged or cut off: unexpected EOF; every line up to %d is acknowledged", there)) {
		t.Errorf("%d follows, %v", there, r)
	}
}

func TestRoundTripIsExact(t *testing.T) {
	sh := startNode(t)
	if r := sh.run("follow", "alice", "--", "mia schmidt", "#tag", " ", "\ufeffbom", "-"); r.status != exitOK {
		t.Fatal(r)
	}
	if r := sh.run("follow", "--", "# FromNodeId", "alice", "7 8", "\u00a0"); r.status != exitOK {
		t.Fatal(r)
	}
	if r := sh.run("import", write(t, "chain", []byte(chain(1500)))); r.status != exitOK {
		t.Fatal(r)
	}
	want := exported(t, sh)
	if n := strings.Count(want, "\n"); n != 1508 {
		t.Fatalf("%d lines", n)
	}
	for _, name := range []string{"graph.tsv", "graph.tsv.gz", "graph.tsv.zst"} {
		path := filepath.Join(t.TempDir(), name)
		r := sh.run("export", path, "--output", "json")
		if r.status != exitOK || r.stdout != `{"lines":1508,"seconds":0.5}`+"\n" || r.stderr != "" {
			t.Errorf("%v", r)
		}
		other := startNode(t)
		if r := other.run("import", path); r.status != exitOK {
			t.Errorf("%v", r)
		}
		if diff := cmp.Diff(want, exported(t, other)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestExportReplacesTheFileAtTheEndOnly(t *testing.T) {
	sh := startNode(t)
	sh.run("follow", "alice", "bob")
	path := write(t, "graph.tsv", []byte("old"))
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	broken := shell{addr: fakeNode(t, func(typ wire.Type, _ []byte) *reply {
		switch typ {
		case wire.TypeHello:
			return nil
		case wire.TypeStatus:
			answer := ok(&wire.Status{})
			return &answer
		}
		answer := refusal(wire.Denied, "no export for you")
		return &answer
	})}
	r := broken.run("export", path)
	if want := "kith: denied: no export for you; give the node's secret by --token-file; " + path + " is as it was before\n"; r.status != exitRefused || r.stderr != want {
		t.Errorf("%v", r)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("%q %v", text, err)
	}
	if r := sh.run("export", link); r.status != exitOK {
		t.Errorf("%v", r)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "alice\tbob\t") {
		t.Errorf("%q %v", text, err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v %v", names, err)
	}
	if r := sh.run("export", os.DevNull); r.status != exitOK {
		t.Errorf("%v", r)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s was replaced: %v %v", os.DevNull, info, err)
	}
	for _, name := range []string{t.TempDir(), filepath.Join(path, "below-a-file"), filepath.Join(t.TempDir(), "no", "folder")} {
		if r := sh.run("export", name); r.status != exitUsage {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestProgressIsShownOnATerminalOnly(t *testing.T) {
	sh := startNode(t)
	path := write(t, "graph", []byte(chain(100)))
	for _, sh.terminal = range []bool{true, false} {
		for _, args := range [][]string{{"import", path}, {"export", filepath.Join(t.TempDir(), "out")}} {
			if r := sh.run(args...); r.status != exitOK || (r.stderr != "") != sh.terminal {
				t.Errorf("terminal %v: %v", sh.terminal, r)
			}
		}
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "a.tsv": "a.tsv", "/x/y-z_1:2,3@4%5+6=7": "/x/y-z_1:2,3@4%5+6=7", "a b": "'a b'", "it's": `'it'\''s'`,
		"$(x)": "'$(x)'", "ä": "'ä'", "~": "'~'", "a\nb": "'a\nb'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q became %s, not %s", word, got, want)
		}
	}
}

func TestImportDoesNotListRejectsInItsInput(t *testing.T) {
	const edges = "a b\nc d\n"
	input := write(t, "edges", []byte(edges))
	r := startNode(t).run("import", input, "--rejects", input)
	if r.status != 2 || !strings.Contains(r.stderr, "is the file to import") {
		t.Errorf("%+v", r)
	}
	if text, err := os.ReadFile(input); err != nil || string(text) != edges {
		t.Errorf("the input is now %q, %v", text, err)
	}
}
