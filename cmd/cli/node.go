package main

import (
	"fmt"
	"math"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/wire"
)

func statusCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "tell how the node is",
		UsageText: "kith status",
		Description: `TSV has a line for each shard: shard, whether this node leads it, whether it is ready, users,
follows, changes on their way to other shards, commands queued for the log, waits of clients until
another shard shows their changes, applied index, and bytes in memory.`,
		Action: withSession(e, 0, 0, func(c *cli.Context, s *session) error {
			status, err := s.Status(c.Context)
			if err != nil {
				return err
			}
			return s.out.write(statusAnswer(status))
		}),
	}
}

func statusAnswer(status *wire.Status) answer {
	a := answer{json: status, header: []string{"SHARD", "LEADER", "READY", "USERS", "FOLLOWS", "OUTBOX", "QUEUED", "WAITING", "APPLIED", "MEMORY"}}
	for _, s := range status.Shards {
		leader := cell{s.LeaderID, fmt.Sprint(s.Leader)}
		if s.Leader {
			leader.shown = "this node"
		}
		a.rows = append(a.rows, []cell{same(s.Shard), leader, same(s.Ready), same(s.Users), same(s.Follows),
			same(s.Outbox), same(s.Queued), same(s.Waiting), same(s.Applied), {bytesText(s.GraphBytes), fmt.Sprint(s.GraphBytes)}})
	}
	ready := "ready"
	if !status.Ready {
		ready = "not ready"
	}
	a.footer = fmt.Sprintf("%s of cluster %s, version %s, %s, up %s\n%d users, %d follows, at most %d a user; %d connections; heap %s",
		textCell(status.NodeID).shown, textCell(status.ClusterID).shown, textCell(status.Version).shown, ready,
		time.Duration(status.UptimeSeconds)*time.Second, status.Users, status.Follows, status.FollowingLimit,
		status.Connections, bytesText(status.Memory.HeapBytes))
	if d := status.Disk; d != nil {
		a.footer += fmt.Sprintf("; disk %s free, writes need %s", bytesText(d.FreeBytes), bytesText(d.MinFreeBytes))
	}
	if status.WritesRefused != "" {
		a.footer += "\nwrites are refused: " + textCell(status.WritesRefused).shown
	}
	return a
}

// bytesText writes a size in powers of 1,024.
func bytesText(n uint64) string {
	size, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}

// pingJSON is the answer of ping.
type pingJSON struct {
	Addr         string  `json:"addr"`
	Milliseconds float64 `json:"milliseconds"`
}

func pingCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "ping",
		Usage:     "tell whether the node answers, and how fast",
		UsageText: "kith ping",
		Action: withSession(e, 0, 0, func(c *cli.Context, s *session) error {
			began := e.now()
			if err := s.Ping(c.Context); err != nil {
				return err
			}
			doc := pingJSON{s.addr, math.Round(e.now().Sub(began).Seconds()*1e6) / 1000}
			return s.out.write(answer{json: doc, rows: [][]cell{
				{{fmt.Sprintf("%s answered in %v ms", textCell(doc.Addr).shown, doc.Milliseconds), fmt.Sprint(doc.Milliseconds)}}}})
		}),
	}
}
