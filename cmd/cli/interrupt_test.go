package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithgraph/kith/wire"
)

// importNode is a fake node that takes rows for as long as take, told how many
// requests there were, returns true, and then hangs up.
func importNode(t *testing.T, take func(requests int64) bool) (addr string) {
	var requests atomic.Int64
	return fakeNode(t, func(typ wire.Type, body []byte) *reply {
		var request wire.ImportRequest
		if typ != wire.TypeImport || !take(requests.Add(1)) {
			return nil
		}
		if err := request.Decode(body); err != nil {
			t.Error(err)
		}
		answer := ok(&wire.ImportReply{Results: make([]wire.EdgeResult, len(request.Rows))})
		return &answer
	})
}

// ends runs a command that must end though nobody serves its pipes.
func (sh shell) ends(t *testing.T, args ...string) ran {
	t.Helper()
	done := make(chan ran, 1)
	go func() { done <- sh.run(args...) }()
	select {
	case r := <-done:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("the command does not end")
		return ran{}
	}
}

// TestInterruptedImportWaitsForNoInput interrupts an import that has read all there
// is in a pipe which stays open: 3001 rows, of which the last is not sent yet.
func TestInterruptedImportWaitsForNoInput(t *testing.T) {
	signalled, signal := context.WithCancel(context.Background())
	addr := importNode(t, func(requests int64) bool {
		if requests == 3 {
			signal()
		}
		return true
	})
	in, feed := io.Pipe()
	go func() { _, _ = io.WriteString(feed, chain(3001)) }()
	r := shell{addr: addr, stdin: in, signalled: signalled}.ends(t, "import", "-")
	feed.Close()
	if r.status != exitRefused || !strings.HasPrefix(r.stdout, `{"lines":3001,"followed":3001,`) || r.stderr !=
		"kith: interrupted; every line up to 3001 is acknowledged; to go on: kith --addr "+addr+" import --from-line 3002 -\n" {
		t.Errorf("%v", r)
	}
}

func TestInterruptedImportWaitsNotLongForAnswers(t *testing.T) {
	signalled, signal := context.WithCancel(context.Background())
	never := make(chan struct{})
	addr := importNode(t, func(int64) bool {
		signal()
		<-never
		return false
	})
	t.Cleanup(func() { close(never) })
	in, feed := io.Pipe()
	go func() { _, _ = io.WriteString(feed, chain(1001)) }()
	r := shell{addr: addr, stdin: in, signalled: signalled}.ends(t, "import", "-", "--timeout", "50ms")
	feed.Close()
	if r.status != exitRefused || !strings.HasPrefix(r.stdout, `{"lines":0,`) ||
		!strings.HasPrefix(r.stderr, "kith: interrupted; nothing is acknowledged yet; to begin again: ") {
		t.Errorf("%v", r)
	}
}

// signallingWriter interrupts the command and does not return before closed is.
type signallingWriter struct {
	signal func()
	closed chan struct{}
}

func (w signallingWriter) Write(p []byte) (int, error) {
	w.signal()
	<-w.closed
	return 0, os.ErrClosed
}

func TestInterruptedExportWaitsForNoReader(t *testing.T) {
	sh := startNode(t)
	if r := sh.run("import", write(t, "chain", []byte(chain(20_000)))); r.status != exitOK {
		t.Fatal(r)
	}
	signalled, signal := context.WithCancel(context.Background())
	out := signallingWriter{signal, make(chan struct{})}
	sh.signalled, sh.stdout = signalled, out
	r := sh.ends(t, "export", "-")
	close(out.closed)
	if r.status != exitRefused || r.stderr != "kith: interrupted; what was written is not complete\n" {
		t.Errorf("%v", r)
	}
}

// TestRejectsAreListedOnce resumes an import that had read bad lines behind rows
// which were not acknowledged.
func TestRejectsAreListedOnce(t *testing.T) {
	rows := strings.SplitAfter(chain(5000), "\n")
	rows[99], rows[2599], rows[3999] = "lonely\n", "a b c d\n", "alone\n"
	text := []byte(strings.Join(rows, ""))
	graph, rejects := write(t, "graph", text), filepath.Join(t.TempDir(), "rejects")
	listed := func() (lines []string) {
		content, err := os.ReadFile(rejects)
		if err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(string(content)) {
			number, _, _ := strings.Cut(line, "\t")
			lines = append(lines, number)
		}
		return lines
	}
	failing := shell{addr: importNode(t, func(requests int64) bool { return requests <= 2 })}
	first := failing.run("import", graph, "--window", "1", "--patience", "50ms", "--rejects", rejects)
	if got := fmt.Sprint(listed()); got != "[100]" || !strings.Contains(first.stderr, "every line up to 2001 is") ||
		!strings.HasPrefix(first.stdout, `{"lines":2001,"followed":2000,"already":0,"self_follow":0,"following_full":0,"bad":1,`) {
		t.Errorf("%s are listed: %v", got, first)
	}
	whole := shell{addr: importNode(t, func(int64) bool { return true })}
	second := whole.run("import", graph, "--rejects", rejects, "--from-line", "2002")
	if got := fmt.Sprint(listed()); got != "[100 2600 4000]" ||
		!strings.HasPrefix(second.stdout, `{"lines":2999,"followed":2997,"already":0,"self_follow":0,"following_full":0,"bad":2,`) {
		t.Errorf("%s are listed: %v", got, second)
	}
}

// TestBadLinesAreHeldWithinALimit has more of them behind one row than are held.
func TestBadLinesAreHeldWithinALimit(t *testing.T) {
	const bad = maxHeldBytes/4000 + 1
	var requests atomic.Int64
	sh := shell{addr: importNode(t, func(n int64) bool { requests.Store(n); return true })}
	sh.stdin = strings.NewReader("a b\n" + strings.Repeat(strings.Repeat("x", 4000)+"\n", bad) + "c d\n")
	r := sh.run("import", "-")
	if !strings.HasPrefix(r.stdout, fmt.Sprintf(`{"lines":%d,"followed":2,`, bad+2)) || r.status != exitOK || requests.Load() != 2 {
		t.Errorf("%d requests, %v", requests.Load(), r)
	}
}
