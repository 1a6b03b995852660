//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// namedPipe returns a named pipe both ends of which are open, so that nobody else
// waits to open it.
func namedPipe(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	both, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { both.Close() })
	return both
}

func TestNamedPipesAreNotWaitedFor(t *testing.T) {
	signalled, signal := context.WithCancel(context.Background())
	pipe := namedPipe(t)
	sh := shell{addr: importNode(t, func(int64) bool { signal(); return true }), signalled: signalled}
	go func() { _, _ = io.WriteString(pipe, chain(1001)) }()
	if r := sh.ends(t, "import", pipe.Name()); !strings.Contains(r.stderr, "interrupted; every line up to 1001 is acknowledged") {
		t.Errorf("%v", r)
	}

	sh = startNode(t)
	if r := sh.run("import", write(t, "chain", []byte(chain(20_000)))); r.status != exitOK {
		t.Fatal(r)
	}
	signalled, signal = context.WithCancel(context.Background())
	sh.signalled = signalled
	pipe = namedPipe(t)
	go func() {
		_, _ = pipe.Read(make([]byte, 1))
		signal()
	}()
	if r := sh.ends(t, "export", pipe.Name()); r.status != exitRefused || !strings.Contains(r.stderr, "kith: interrupted;") {
		t.Errorf("%v", r)
	}
}
