package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
)

// version is set by the linker.
var version string

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	err := newApp(stdout, stderr).RunContext(context.Background(), args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "kith-bench:", console.Line(err))
	if errors.Is(err, console.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

func newApp(stdout, stderr io.Writer) *cli.App {
	usageError := func(_ *cli.Context, err error, _ bool) error {
		return console.Usagef("%v; see `kith-bench --help`", err)
	}
	app := &cli.App{
		Name:           "kith-bench",
		Usage:          "make follow graphs and measure a node",
		Version:        console.Version(version),
		Writer:         stdout,
		ErrWriter:      stderr,
		OnUsageError:   usageError,
		ExitErrHandler: func(*cli.Context, error) {},
		Commands:       []*cli.Command{generateCommand(), checksCommand()},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return console.Usagef("there is no command %q; see `kith-bench --help`", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, command := range app.Commands {
		command.OnUsageError = usageError
	}
	return app
}
