package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/kithgraph/kith/internal/console"
)

// version is set by the linker.
var version string

// env is the world as a command sees it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// stdoutTerminal decides the default of --output, stderrTerminal whether
	// progress is shown.
	stdoutTerminal, stderrTerminal bool
	now                            func() time.Time
	// notify returns a context that the next SIGINT or SIGTERM ends. Only commands that
	// have something half done ask for it; the others die of a signal.
	notify func() (signalled context.Context, restore func())
}

func main() {
	e := &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		now:            time.Now,
		notify:         notifySignals,
	}
	os.Exit(run(e, os.Args))
}

// notifySignals takes the first signal; after it the default is back, so that a
// second one kills.
func notifySignals() (context.Context, func()) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// run runs one command line and returns its exit status.
func run(e *env, args []string) int {
	app := newApp(e)
	args, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(context.Background(), args)
	}
	if err != nil {
		fmt.Fprintln(e.stderr, "kith:", console.Line(err))
	}
	return exitStatus(err)
}
