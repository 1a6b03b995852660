package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/internal/edgelist"
	"github.com/kithgraph/kith/wire"
)

// Names of the flags of import.
const (
	flagRejects  = "rejects"
	flagFromLine = "from-line"
	flagWindow   = "window"
	flagPatience = "patience"
)

// defaultImportWindow keeps a node busy: the more that wait, the more of them go
// into one entry of its log.
const defaultImportWindow = 64

// importJSON is the summary; its field names are fixed. Lines is the sum of the
// five below it: comments and empty lines are not counted.
type importJSON struct {
	Lines         uint64  `json:"lines"`
	Followed      uint64  `json:"followed"`
	Already       uint64  `json:"already"`
	SelfFollow    uint64  `json:"self_follow"`
	FollowingFull uint64  `json:"following_full"`
	Bad           uint64  `json:"bad"`
	Seconds       float64 `json:"seconds"`
}

func importCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "load an edge list, FILE or - for standard input",
		UsageText: "kith import FILE|- [--rejects FILE] [--from-line N]",
		Description: `A line is "follower followee", or "follower followee time" with the time in seconds since
1970; blanks or tabs between them; ids that contain blanks need tabs and a time. Empty lines
and lines that start with # are skipped; gzip and Zstandard are unpacked.

Follows that exist are left as they are, so an import may be repeated and resumed. Repeats,
self-follows, follows beyond a user's limit and bad lines are counted and do not stop it, nor
change the exit status; --rejects lists the latter three as line number, reason and text, so
that ` + "`cut -f3- REJECTS | kith import -`" + ` tries them again. When it is interrupted, or fails, it
says up to which line all is durable, and the command that goes on from there.

   kith import graph.tsv.gz --rejects rejects.tsv
   zcat graph.gz | kith import -`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagRejects, Usage: "list lines that were not imported in `FILE`; with --from-line it is continued"},
			&cli.Uint64Flag{Name: flagFromLine, Value: 1, Usage: "skip the lines before line `N`"},
			&cli.IntFlag{Name: flagWindow, Value: defaultImportWindow,
				Usage: "batches of lines under way at once, 1 to 256; 1 keeps the order of lines, which matters only where a repeated line has another time, or at a user's limit"},
			&cli.DurationFlag{Name: flagPatience, Value: 2 * time.Minute, Usage: "go on trying that long when the node does not answer"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			r, err := newImport(e, c)
			if err != nil {
				return err
			}
			defer r.close()
			return useSession(e, c, r.run)
		},
	}
}

// importRun is one import. One goroutine runs it; progress reads settled.
type importRun struct {
	env      *env
	in       *input
	reader   *edgelist.Reader
	window   int
	from     uint64 // the first line that is not skipped
	rejects  *rejects
	importer *client.Importer
	counts   importJSON
	firstBad string
	// held are the bad lines that came behind rows under way, oldest first.
	held      []heldLine
	heldBytes int
	// lines holds the line of each row under way, by the row's number modulo its length.
	lines []uint64
	rows  uint64
	// settled is how many rows have their result, acknowledged the last line that has;
	// every line up to that one has its result.
	settled      atomic.Uint64
	acknowledged uint64
}

// heldLine is a line that is no follow. It is counted and listed when the rows
// before it have their results, or an import that resumes there would do so again.
type heldLine struct {
	*edgelist.LineError
	rows uint64 // before it
}

// maxHeldBytes bounds the memory of held lines, which heldLineOverhead adds to their text.
const (
	maxHeldBytes     = 8 << 20
	heldLineOverhead = 128
)

// newImport opens what is to be imported. The caller closes it.
func newImport(e *env, c *cli.Context) (*importRun, error) {
	window := c.Int(flagWindow)
	if window < 1 || window > 256 {
		return nil, console.Usagef("--%s is %d; give 1 to 256", flagWindow, window)
	}
	in, err := openInput(e, c.Args().First())
	if err != nil {
		return nil, err
	}
	reader, err := edgelist.NewReader(in, edgelist.Options{})
	if err != nil {
		in.close()
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	return &importRun{env: e, in: in, reader: reader, window: window, from: max(c.Uint64(flagFromLine), 1)}, nil
}

func (r *importRun) close() {
	_ = r.reader.Close() // frees memory, and has nothing to say
	r.in.close()
}

// run imports and reports, whether or not it got to the end.
func (r *importRun) run(c *cli.Context, s *session) (err error) {
	if r.rejects, err = openRejects(c.String(flagRejects), c.Args().First(), r.from > 1); err != nil {
		return err
	}
	r.acknowledged = r.from - 1
	r.lines = make([]uint64, (r.window+2)*wire.MaxImportRows)
	began := r.env.now()
	if err = r.reader.SkipTo(r.from); err == nil {
		err = r.send(c, s)
	}
	r.counts.Seconds = math.Round(r.env.now().Sub(began).Seconds()*1000) / 1000
	if err = errors.Join(err, r.rejects.close()); err != nil {
		err = fmt.Errorf("%w; %s", explain(s.addr, err), r.resume(c))
	}
	return r.report(s.out, err)
}

// send imports all lines. After a signal it reads no further, waits for what is
// under way, though no longer than --timeout, and returns errInterrupted.
func (r *importRun) send(c *cli.Context, s *session) error {
	signalled, restore := r.env.notify()
	defer restore()
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	stopWatch := context.AfterFunc(signalled, func() {
		r.in.interrupt()
		late := time.AfterFunc(c.Duration(flagTimeout), cancel)
		context.AfterFunc(ctx, func() { late.Stop() })
	})
	defer stopWatch()
	r.importer = s.Import(ctx, client.ImportOptions{Window: r.window, Patience: c.Duration(flagPatience), OnResult: r.result})
	began := r.env.now()
	bar := newProgress(r.env, r.in.size, inBytes, func() (int64, string) {
		n := r.settled.Load()
		return r.reader.RawBytes(), fmt.Sprintf("%d lines %s", n, perSecond(n, r.env.now().Sub(began)))
	})
	defer bar.stop()
	err := r.read(signalled)
	closed := r.importer.Close()
	if closed == nil { // all that was read has its result
		r.acknowledged = max(r.acknowledged, r.reader.Line())
	}
	switch {
	case signalled.Err() != nil && (err != nil || closed != nil || r.in.name == standardStream):
		return errInterrupted // what feeds standard input may have got the same signal
	case err != nil:
		return err
	}
	return closed
}

// read gives the importer every line that is left.
func (r *importRun) read(signalled context.Context) error {
	for signalled.Err() == nil {
		row, err := r.reader.Next()
		var bad *edgelist.LineError
		switch {
		case errors.As(err, &bad):
			if err := r.hold(bad); err != nil {
				return err
			}
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		r.lines[r.rows%uint64(len(r.lines))] = row.Line
		r.rows++
		if err := r.importer.Add(client.ImportRow{Follower: string(row.Follower), Followee: string(row.Followee), Time: row.Time}); err != nil {
			return err
		}
	}
	return errInterrupted
}

// hold keeps a bad line until release. It makes room by waiting for all rows.
func (r *importRun) hold(bad *edgelist.LineError) error {
	r.held = append(r.held, heldLine{bad, r.rows})
	if r.heldBytes += len(bad.Text) + heldLineOverhead; r.heldBytes > maxHeldBytes {
		if err := r.importer.Flush(); err != nil {
			return err
		}
	}
	r.release()
	return nil
}

// release takes the held lines that have no row under way before them.
func (r *importRun) release() {
	for len(r.held) > 0 && r.held[0].rows <= r.settled.Load() {
		bad := r.held[0]
		r.held = r.held[1:]
		r.heldBytes -= len(bad.Text) + heldLineOverhead
		r.rejects.add(bad.Line, bad.Err.Error(), bad.Text)
		r.acknowledged = bad.Line
		r.counts.Bad++
		if r.firstBad == "" {
			r.firstBad = bad.Error()
		}
	}
}

// result takes what became of a row, in the order of the rows.
func (r *importRun) result(row client.ImportResult) {
	line := r.lines[row.Number%int64(len(r.lines))]
	r.acknowledged = line
	r.settled.Add(1)
	defer r.release()
	switch row.Code {
	case wire.OK:
		if row.Changed {
			r.counts.Followed++
		} else {
			r.counts.Already++
		}
		return
	case wire.SelfFollow:
		r.counts.SelfFollow++
	case wire.FollowingFull:
		r.counts.FollowingFull++
	default:
		r.counts.Bad++
	}
	text := edgelist.AppendRow(nil, []byte(row.Row.Follower), []byte(row.Row.Followee), row.Row.Time)
	r.rejects.add(line, row.Code.String(), string(text[:len(text)-1]))
}

// resume says where an import that ended early can go on.
func (r *importRun) resume(c *cli.Context) string {
	next := r.acknowledged + 1
	if next == 1 {
		return "nothing is acknowledged yet; to begin again: " + resumeCommand(c, r.in.name, 1)
	}
	return fmt.Sprintf("every line up to %d is acknowledged; to go on: %s", r.acknowledged, resumeCommand(c, r.in.name, next))
}

// report writes the summary, whether or not the import got to the end.
func (r *importRun) report(out output, err error) error {
	n := &r.counts
	n.Lines = n.Followed + n.Already + n.SelfFollow + n.FollowingFull + n.Bad
	a := answer{json: n}
	values := []any{n.Lines, n.Followed, n.Already, n.SelfFollow, n.FollowingFull, n.Bad, n.Seconds}
	if out.format == formatTSV {
		row := make([]cell, len(values))
		for i, v := range values {
			row[i] = same(v)
		}
		a.rows = [][]cell{row}
	} else {
		for i, name := range []string{"lines", "followed", "already", "self-follow", "following full", "bad", "seconds"} {
			a.rows = append(a.rows, []cell{same(name), same(values[i])})
		}
	}
	if r.firstBad != "" && !r.rejects.wanted() {
		fmt.Fprintf(r.env.stderr, "kith: %d bad lines, the first: %s; --rejects FILE lists them all\n", n.Bad, console.Escape(r.firstBad))
	}
	return errors.Join(err, out.write(a))
}
