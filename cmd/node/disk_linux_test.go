package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/wire"
)

// smallDisk mounts a disk of that size in memory, for as long as the test runs.
func smallDisk(t *testing.T, mebibytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes)); err != nil {
		t.Skipf("no disk of its own for this test: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file that leaves no more than that many bytes free.
func fill(t *testing.T, path string, leave uint64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(path, &s); err != nil {
			t.Fatal(err)
		}
		free := s.Bavail * uint64(s.Bsize)
		if free <= leave {
			return
		}
		if _, err := f.Write(block[:min(uint64(len(block)), free-leave)]); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// dialOnce returns a client that never repeats a request by itself.
func dialOnce(t *testing.T, r *running) *client.Client {
	t.Helper()
	return dial(t, client.Options{Addr: r.addr, MaxAttempts: 1})
}

func follow(c *client.Client, me, followee string) error {
	results, err := c.Follow(context.Background(), me, followee)
	for _, r := range results {
		err = errors.Join(err, r.Err())
	}
	return err
}

// followUntil follows ever more users until the answer is as wanted, and returns
// how many it followed altogether. The answer unavailable means that none was.
func followUntil(t *testing.T, c *client.Client, followed int, wanted func(error) bool) int {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-ticker.C {
		err := follow(c, "alice", fmt.Sprintf("u%d", followed))
		if err == nil {
			followed++
		} else if !isUnavailable(err) {
			t.Fatal(err)
		}
		if wanted(err) {
			return followed
		}
	}
	t.Fatalf("followed %d, waited in vain", followed)
	return 0
}

func isUnavailable(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == wire.Unavailable
}

func checkFollowing(t *testing.T, c *client.Client, want int) {
	t.Helper()
	info, err := c.Info(context.Background(), "alice")
	if err != nil || int(info[0].Following) != want {
		t.Errorf("alice follows %+v, not %d: %v", info, want, err)
	}
}

// TestNearlyFullDisk fills a disk from outside, and makes room again, some times.
func TestNearlyFullDisk(t *testing.T) {
	disk := smallDisk(t, 256)
	filler, dir := filepath.Join(disk, "filler"), filepath.Join(disk, "data")
	kithd := []string{"--data-dir", dir, "--min-free-disk", "16MiB"}
	r := start(t, command(t, kithd...))
	c := dialOnce(t, r)
	followed := 0
	const cycles = 3
	for range cycles {
		followed = followUntil(t, c, followed, func(err error) bool { return err == nil })
		fill(t, filler, 8<<20)
		var refusal error
		followed = followUntil(t, c, followed, func(err error) bool { refusal = err; return err != nil })
		if text := refusal.Error(); !strings.Contains(text, "bytes are free, writes need ") {
			t.Error(text)
		}
		status, err := c.Status(context.Background())
		if err != nil || !status.Ready || status.WritesRefused == "" || status.Disk == nil || status.Disk.FreeBytes >= 16<<20 {
			t.Errorf("%+v, %v", status, err)
		}
		checkFollowing(t, c, followed)
		remove(t, filler)
	}
	followed = followUntil(t, c, followed, func(err error) bool { return err == nil })
	r.stop(t, os.Kill)
	for text, want := range map[string]int{"refusing writes": cycles, "taking writes": cycles, "level=ERROR": 0} {
		if got := strings.Count(r.stderr.String(), text); got != want {
			t.Errorf("%q is logged %d times, not %d:\n%s", text, got, want, r.stderr)
		}
	}
	fill(t, filler, 8<<20)
	r = start(t, command(t, kithd...))
	c = dialOnce(t, r)
	checkFollowing(t, c, followed)
	if err := follow(c, "alice", "bob"); !isUnavailable(err) {
		t.Errorf("started below the mark: %v", err)
	}
	if status := r.stop(t, syscall.SIGTERM); status != exitStopped || !strings.Contains(r.stderr.String(), "level=WARN msg=\"the disk is nearly full") {
		t.Errorf("exit status %d\n%s", status, r.stderr)
	}
}

// TestFullDiskAndBallast starts a node on a disk without a free byte.
func TestFullDiskAndBallast(t *testing.T) {
	disk := smallDisk(t, 256)
	dir := filepath.Join(disk, "data")
	kithd := []string{"--data-dir", dir, "--min-free-disk", "16MiB"}
	r := start(t, command(t, kithd...))
	followed := followUntil(t, dialOnce(t, r), 0, func(err error) bool { return err == nil })
	r.stop(t, os.Kill)
	fill(t, filepath.Join(disk, "filler"), 0)

	cmd := command(t, kithd...)
	status, stderr := failed(t, cmd)
	if status != exitFailed || !strings.Contains(stderr, "no space left") || !strings.Contains(stderr, "delete the file BALLAST in the data folder, and start again\n") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	if used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); used > patience/4 {
		t.Errorf("it tried for %s of CPU time", used)
	}
	remove(t, filepath.Join(dir, raftfsm.BallastFile))
	r = start(t, command(t, kithd...))
	checkFollowing(t, dialOnce(t, r), followed)
	if status := r.stop(t, syscall.SIGTERM); status != exitStopped {
		t.Errorf("exit status %d\n%s", status, r.stderr)
	}
}
