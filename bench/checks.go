package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/bench/graphgen"
	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/wire"
)

func checksCommand() *cli.Command {
	return &cli.Command{
		Name:  "checks",
		Usage: "measure checks of one and of 100 users against a node that holds the graph of `generate`",
		Flags: append(graphFlags(),
			&cli.StringFlag{Name: "addr", EnvVars: []string{"KITH_ADDR"}, Value: client.DefaultAddr, Usage: "the node's `ADDRESS`"},
			&cli.IntFlag{Name: "connections", Value: 4, Usage: "connections to the node, 1 to 64"},
			&cli.IntFlag{Name: "depth", Value: 64, Usage: "checks under way on each connection"},
			&cli.IntFlag{Name: "rounds", Value: 5, Usage: "rounds; the median counts"},
			&cli.DurationFlag{Name: "round", Value: 2 * time.Second, Usage: "how long a round takes"},
		),
		Action: checks,
	}
}

// load is one way of asking.
type load struct {
	client  *client.Client
	users   []string
	callers int
	ids     int // in each check
	round   time.Duration
}

func checks(c *cli.Context) error {
	graph, rounds := graphOptions(c), c.Int("rounds")
	connections, depth := c.Int("connections"), c.Int("depth")
	if err := graph.Validate(); err != nil {
		return console.Usagef("%v", err)
	}
	if connections < 1 || depth < 1 || rounds < 1 || c.Duration("round") <= 0 {
		return console.Usagef("--connections, --depth, --rounds and --round must be above 0")
	}
	cl, err := client.Dial(c.Context, client.Options{Addr: c.String("addr"), Connections: connections})
	if err != nil {
		return err
	}
	defer cl.Close()
	users := make([]string, graph.Users)
	for i := range users {
		users[i] = graphgen.UserID(i)
	}
	fmt.Fprintf(c.App.Writer, "%d connections, %d checks under way on each, median of %d rounds of %v\n",
		connections, depth, rounds, c.Duration("round"))
	for _, ids := range []int{1, wire.MaxIDs} {
		l := load{client: cl, users: users, callers: connections * depth, ids: ids, round: c.Duration("round")}
		all := make([]result, rounds)
		for i := range all {
			if all[i], err = l.run(c.Context, uint64(i)); err != nil {
				return err
			}
		}
		slices.SortFunc(all, func(a, b result) int { return a.checks - b.checks })
		median := all[rounds/2]
		fmt.Fprintf(c.App.Writer, "%3d users a check: %9.0f checks/s, %10.0f users/s (%.0f to %.0f checks/s); this program used %.2f CPUs\n",
			ids, median.perSecond(), median.perSecond()*float64(ids), all[0].perSecond(), all[rounds-1].perSecond(), median.cpus())
	}
	return nil
}

// result is what one round came to.
type result struct {
	checks       int
	elapsed, cpu time.Duration
}

func (r result) perSecond() float64 { return float64(r.checks) / r.elapsed.Seconds() }

func (r result) cpus() float64 { return r.cpu.Seconds() / r.elapsed.Seconds() }

// run keeps every caller busy for one round.
func (l load) run(ctx context.Context, seed uint64) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	counts := make([]int, l.callers)
	began, cpu := time.Now(), cpuTime()
	end := began.Add(l.round)
	var callers sync.WaitGroup
	for i := range counts {
		callers.Go(func() {
			n, err := l.call(ctx, rand.New(rand.NewPCG(seed, uint64(i))), end)
			if counts[i] = n; err != nil {
				cancel(err)
			}
		})
	}
	callers.Wait()
	r := result{elapsed: time.Since(began), cpu: cpuTime() - cpu}
	for _, n := range counts {
		r.checks += n
	}
	return r, context.Cause(ctx)
}

// call makes one check after the other, of random users, until end.
func (l load) call(ctx context.Context, rng *rand.Rand, end time.Time) (n int, err error) {
	ids := make([]string, l.ids)
	for time.Now().Before(end) {
		for i := range ids {
			ids[i] = l.users[rng.IntN(len(l.users))]
		}
		if _, err := l.client.Check(ctx, l.users[rng.IntN(len(l.users))], ids...); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
