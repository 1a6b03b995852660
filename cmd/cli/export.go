package main

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/edgelist"
)

// exportJSON is the summary of an export to a file.
type exportJSON struct {
	Lines   uint64  `json:"lines"`
	Seconds float64 `json:"seconds"`
}

func exportCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write all follows as an edge list, to FILE or - for standard output",
		UsageText: "kith export FILE|-",
		Description: `A line is "follower<tab>followee<tab>time", the time in seconds since 1970; all follows of a
user stand together. What it writes, import reads back exactly. FILE is replaced when all
is written, not before; names that end in .gz or .zst are compressed. Follows that
come or go meanwhile may be in it or not.

   kith export graph.tsv.zst
   kith export - | wc -l`,
		Action: withSession(e, 1, 1, func(c *cli.Context, s *session) error {
			return runExport(e, c, s)
		}),
	}
}

func runExport(e *env, c *cli.Context, s *session) error {
	name := c.Args().First()
	status, err := s.Status(c.Context) // for the bar
	if err != nil {
		return err
	}
	began := e.now()
	dest, err := createDestination(e, name)
	if err != nil {
		return err
	}
	rows, err := writeAll(e, c.Context, s, dest, int64(status.Follows))
	if err = dest.finish(err); err != nil {
		if name == standardStream {
			return fmt.Errorf("%w; what was written is not complete", explain(s.addr, err))
		}
		return fmt.Errorf("%w; %s is as it was before", explain(s.addr, err), name)
	}
	if name == standardStream {
		return nil
	}
	doc := exportJSON{rows, math.Round(e.now().Sub(began).Seconds()*1000) / 1000}
	a := answer{json: doc, rows: [][]cell{{same("lines"), same(doc.Lines)}, {same("seconds"), same(doc.Seconds)}}}
	if s.out.format == formatTSV {
		a.rows = [][]cell{{same(doc.Lines), same(doc.Seconds)}}
	}
	return s.out.write(a)
}

// writeAll writes every follow to dest and returns their number, and errInterrupted
// when a signal ended it.
func writeAll(e *env, ctx context.Context, s *session, dest *destination, total int64) (rows uint64, err error) {
	signalled, restore := e.notify()
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(signalled, func() {
		cancel()
		dest.interrupt()
	})()
	began := e.now()
	var written atomic.Uint64
	bar := newProgress(e, total, inFollows, func() (int64, string) {
		n := written.Load()
		return int64(n), perSecond(n, e.now().Sub(began))
	})
	defer bar.stop()
	out := edgelist.NewWriter(dest)
	for edge, failed := range s.Export(ctx, client.ExportOptions{}) {
		if err = failed; err == nil {
			err = out.Write([]byte(edge.Follower), []byte(edge.Followee), edge.Time)
		}
		if err != nil {
			break
		}
		written.Store(out.Rows())
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil && signalled.Err() != nil {
		err = errInterrupted
	}
	return out.Rows(), err
}
