package main

import (
	"bufio"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/bench/graphgen"
	"github.com/kithgraph/kith/internal/console"
)

func generateCommand() *cli.Command {
	return &cli.Command{
		Name:  "generate",
		Usage: "write a graph to standard output, one follow a line",
		Flags: append(graphFlags(), &cli.BoolFlag{Name: "times", Usage: "with follow times; without, the cluster sets them"}),
		Action: func(c *cli.Context) error {
			return generate(c, graphOptions(c))
		},
	}
}

func graphFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "users", Value: 3000, Usage: "number of users"},
		&cli.IntFlag{Name: "follows", Value: 60000, Usage: "about that many follows"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "another seed, another graph"},
	}
}

func graphOptions(c *cli.Context) graphgen.Options {
	return graphgen.Options{Users: c.Int("users"), Follows: c.Int("follows"), Seed: c.Uint64("seed")}
}

func generate(c *cli.Context, o graphgen.Options) error {
	if err := o.Validate(); err != nil {
		return console.Usagef("%v", err)
	}
	w := bufio.NewWriter(c.App.Writer)
	var line []byte
	err := graphgen.Generate(o, func(e graphgen.Edge) error {
		line = graphgen.AppendUserID(line[:0], e.Follower)
		line = append(line, '\t')
		line = graphgen.AppendUserID(line, e.Followee)
		if c.Bool("times") {
			line = strconv.AppendUint(append(line, '\t'), uint64(e.Time), 10)
		}
		_, err := w.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}
