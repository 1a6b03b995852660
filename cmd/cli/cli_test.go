package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kithgraph/kith/cmd/internal/golden"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ran is what a command did.
type ran struct {
	status         int
	stdout, stderr string
}

func (r ran) String() string {
	return fmt.Sprintf("-- stdout --\n%s-- stderr --\n%s-- exit status %d --\n", r.stdout, r.stderr, r.status)
}

// shell runs command lines against a node.
type shell struct {
	addr     string
	terminal bool // both standard output and standard error
	stdin    io.Reader
	// stdout takes the output. Nil: run returns it.
	stdout io.Writer
	// tick is called before each command. Nil: nothing.
	tick func()
	// signalled ends when the command is to be interrupted. Nil: never.
	signalled context.Context
}

// run runs `kith` with the arguments and the shell's --addr.
func (sh shell) run(args ...string) ran {
	var stdout, stderr bytes.Buffer
	e := &env{
		stdin: sh.stdin, stdout: &stdout, stderr: &stderr, stdoutTerminal: sh.terminal, stderrTerminal: sh.terminal,
		now: tickingClock(),
		notify: func() (context.Context, func()) {
			if sh.signalled == nil {
				return context.Background(), func() {}
			}
			return sh.signalled, func() {}
		},
	}
	if sh.stdout != nil {
		e.stdout = sh.stdout
	}
	if sh.tick != nil {
		sh.tick()
	}
	line := []string{"kith"}
	if sh.addr != "" {
		line = append(line, "--addr", sh.addr)
	}
	status := run(e, append(line, args...))
	return ran{status, stdout.String(), stderr.String()}
}

// tickingClock is 250 ms later each time it is asked.
func tickingClock() func() time.Time {
	var asked atomic.Int64
	return func() time.Time { return time.UnixMilli(1_700_000_000_000 + 250*asked.Add(1)) }
}

// compare is golden.Compare after the replacements (old, new, old, new …) that
// take out what differs from run to run.
func compare(t *testing.T, name, text string, replacements ...string) {
	t.Helper()
	golden.Compare(t, name, strings.NewReplacer(replacements...).Replace(text))
}

// transcript runs commands one after the other, "kith " left away, and writes
// down what each did.
func (sh shell) transcript(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "$ kith %s\n%v\n", line, sh.run(strings.Fields(line)...))
	}
	return b.String()
}
