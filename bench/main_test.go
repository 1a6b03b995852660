package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/internal/edgelist"
	"github.com/kithgraph/kith/server"
)

func kithBench(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(append([]string{"kith-bench"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

func TestGenerateWritesAnEdgeList(t *testing.T) {
	for _, times := range []bool{false, true} {
		args := []string{"generate", "--users", "200", "--follows", "2000", "--seed", "5"}
		if times {
			args = append(args, "--times")
		}
		status, text, stderr := kithBench(args...)
		if status != 0 || stderr != "" {
			t.Fatalf("exit status %d, %s", status, stderr)
		}
		r, err := edgelist.NewReader(strings.NewReader(text), edgelist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range strings.Count(text, "\n") {
			row, err := r.Next()
			if err != nil || (row.Time != 0) != times {
				t.Fatalf("%+v %v", row, err)
			}
		}
		if _, again, _ := kithBench(args...); again != text {
			t.Error("not the same again")
		}
	}
}

func TestChecksMeasuresANode(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(context.Background(), server.Options{Listener: l, FS: vfs.NewMem(), Dir: "data", Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(context.Background())
	status, stdout, stderr := kithBench("checks", "--addr", l.Addr().String(), "--rounds", "3", "--round", "20ms", "--connections", "2", "--depth", "4")
	if status != 0 || stderr != "" || strings.Count(stdout, "checks/s") != 4 || strings.Contains(stdout, " 0 checks/s") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"frob"}, {"--frob"}, {"generate", "--users", "3"}, {"generate", "--users", "many"}, {"checks", "--rounds", "0"}, {"checks", "--depth", "0"},
	} {
		if status, _, stderr := kithBench(args...); status != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit status %d, %s", args, status, stderr)
		}
	}
	if status, _, stderr := kithBench("checks", "--addr", "unix:no-such-socket"); status != exitFailed || strings.Count(stderr, "\n") != 1 {
		t.Errorf("no node: exit status %d, %s", status, stderr)
	}
}
