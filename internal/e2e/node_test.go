package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
)

// binaries builds kithd and kith once for the whole test run.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kith-e2e-*")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{"kithd": "cmd/node", "kith": "cmd/cli"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/kithgraph/kith/"+pkg)
		if out, err := build.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// node is one kithd process with a data folder of its own, which outlives the process.
type node struct {
	t       testing.TB
	dataDir string
	args    []string
	addr    string
	cmd     *exec.Cmd
	exited  chan error
	stderr  bytes.Buffer
}

const readyTimeout = 60 * time.Second

// startNode starts kithd on a fresh folder and stops it when the test ends.
func startNode(t testing.TB, args ...string) *node {
	t.Helper()
	n := &node{t: t, dataDir: filepath.Join(t.TempDir(), "data"), args: args}
	n.start()
	t.Cleanup(func() {
		if n.cmd != nil {
			n.kill()
		}
	})
	return n
}

var readyLine = regexp.MustCompile(`clients (127\.0\.0\.1:\d+)`)

// start returns how long the node took from exec to its ready line.
func (n *node) start() time.Duration {
	n.t.Helper()
	began := time.Now()
	args := append([]string{"--data-dir", n.dataDir, "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"}, n.args...)
	n.cmd = exec.Command(binary(n.t, "kithd"), args...)
	n.stderr.Reset()
	n.cmd.Stderr = &n.stderr
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ready := make(chan string, 1)
	n.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		exited <- cmd.Wait()
	}(n.cmd, n.exited)
	select {
	case n.addr = <-ready:
	case err := <-n.exited:
		n.cmd = nil
		n.t.Fatalf("kithd ended before it was ready: %v\n%s", err, n.stderr.String())
	case <-time.After(readyTimeout):
		n.t.Fatalf("kithd was not ready in %v\n%s", readyTimeout, n.stderr.String())
	}
	return time.Since(began)
}

// kill ends the process as a crash would and waits until it is gone.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	<-n.exited
	n.cmd = nil
}

// stop asks for a graceful stop and insists on exit status 0.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case err := <-n.exited:
		if err != nil {
			n.t.Fatalf("kithd did not stop cleanly: %v\n%s", err, n.stderr.String())
		}
	case <-time.After(readyTimeout):
		n.t.Fatalf("kithd did not stop in %v\n%s", readyTimeout, n.stderr.String())
	}
	n.cmd = nil
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// dial returns a client of the running node, closed when the test ends.
func (n *node) dial() *client.Client {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Addr: n.addr})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// kith runs the command line against the node and returns its standard output.
func (n *node) kith(args ...string) []byte {
	n.t.Helper()
	cmd := exec.Command(binary(n.t, "kith"), append([]string{"--addr", n.addr, "--output", "json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("kith %q: %v\n%s", args, err, stderr.String())
	}
	return out
}
