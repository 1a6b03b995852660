package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kithgraph/kith/internal/console"
)

// version is set by the linker.
var version string

// Exit statuses.
const (
	exitStopped = 0 // in order, by a signal
	exitFailed  = 1
	exitUsage   = 2
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	os.Exit(run(os.Args, os.Stdout, os.Stderr, signals))
}

// run is main with everything that it needs handed in; it returns the exit status.
func run(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	n := &node{stdout: stdout, stderr: stderr, signals: signals}
	err := newApp(n).RunContext(context.Background(), args)
	if err == nil {
		return exitStopped
	}
	fmt.Fprintln(stderr, "kithd:", console.Line(err))
	if errors.Is(err, console.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}
