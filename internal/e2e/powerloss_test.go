package e2e

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/crashdisk"
	"github.com/kithgraph/kith/server"
)

// startServer runs a node of this process on a disk in memory.
func startServer(t *testing.T, disk vfs.FS) (*server.Server, *client.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Options{Listener: l, FS: disk, Dir: "data", Now: time.Now, Rand: crand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), client.Options{Addr: s.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// TestPowerLossDuringImport cuts the power at random moments of an import: what
// was not synced is lost wholly, in part (by blocks), or not at all. Nothing
// acknowledged may be missing and nothing half applied on the disk that is left.
func TestPowerLossDuringImport(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	rounds, rows := 10, 100_000
	if testing.Short() {
		rounds, rows = 3, 30_000
	}
	k := newKillImport(rng, 10_000, rows)
	disk := crashdisk.New()
	for round := range rounds {
		s, c := startServer(t, disk)
		var acknowledged []bool
		var crashed *crashdisk.Disk
		kept := rng.IntN(101)
		k.interrupt(t, c, rng, func() {
			// What is acknowledged before the copy begins must be in it.
			acknowledged = k.acknowledged()
			crashed = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
		})
		c.Close()
		shutdown(t, s)

		disk = crashed
		s, c = startServer(t, disk)
		k.setAcknowledged(acknowledged)
		k.assertNothingLost(t, c, acknowledged)
		t.Logf("round %d: %d%% of the unsynced data kept", round, kept)
		c.Close()
		shutdown(t, s)
	}
	s, c := startServer(t, disk)
	k.finish(t, c)
	assertGraph(t, c, k.whole)
	c.Close()
	shutdown(t, s)
}

func shutdown(t *testing.T, s *server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}
