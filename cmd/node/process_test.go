package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/cmd/internal/golden"
)

// asKithd makes the test binary be kithd.
const asKithd = "KITH_TEST_BE_KITHD"

func TestMain(m *testing.M) {
	if os.Getenv(asKithd) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds each wait of a test for a process.
const patience = 20 * time.Second

// command is kithd with the given arguments, in a working folder of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), asKithd+"=1", "KITHD_LISTEN=127.0.0.1:0", "KITHD_PEER_LISTEN=127.0.0.1:0")
	cmd.Dir = t.TempDir()
	return cmd
}

// running is a kithd that is ready.
type running struct {
	*exec.Cmd
	ready  string // its line
	addr   string
	stdout *bufio.Reader
	stderr *bytes.Buffer // to be read when it has ended
}

func readyLine() *regexp.Regexp {
	return regexp.MustCompile(`^kithd ready: clients (\S+), peers 127\.0\.0\.1:[1-9]\d*, data (.+)\n$`)
}

// start starts the command and waits for its ready line.
func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{Cmd: cmd, stderr: &bytes.Buffer{}}
	cmd.Stderr = r.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	r.stdout = bufio.NewReader(stdout)
	r.ready, err = r.stdout.ReadString('\n')
	match := readyLine().FindStringSubmatch(r.ready)
	if match == nil {
		t.Fatalf("ready line %q, %v", r.ready, err)
	}
	r.addr = match[1]
	return r
}

// stop sends a signal, waits for the end, and returns the exit status.
func (r *running) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := r.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r.stdout)
	if err != nil || len(rest) > 0 {
		t.Errorf("more than one line on standard output: %q %v", rest, err)
	}
	_ = r.Wait() // the status says it
	return r.ProcessState.ExitCode()
}

func dial(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestServesUntilASignal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kith data")
	for i, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt, os.Kill, syscall.SIGTERM} {
		r := start(t, command(t, "--data-dir", dir, "--shards", "2"))
		if strings.HasSuffix(r.addr, ":0") || !strings.HasSuffix(r.ready, ", data "+dir+"\n") {
			t.Errorf("%q", r.ready)
		}
		c := dial(t, client.Options{Addr: r.addr})
		results, err := c.Follow(context.Background(), "alice", "bob")
		if err != nil || results[0].Err() != nil || results[0].Changed != (i == 0) {
			t.Errorf("start %d: %+v %v", i, results, err)
		}
		status := r.stop(t, sig)
		if sig != os.Kill && (status != exitStopped || !strings.Contains(r.stderr.String(), "msg=stopped\n")) {
			t.Errorf("%v: exit status %d\n%s", sig, status, r.stderr)
		}
	}
}

func TestDefaultFolderIsBelowTheWorkingFolder(t *testing.T) {
	cmd := command(t)
	r := start(t, cmd)
	if info, err := os.Stat(filepath.Join(cmd.Dir, "kith-data")); err != nil || !info.IsDir() {
		t.Errorf("%v %v", info, err)
	}
	if status := r.stop(t, syscall.SIGTERM); status != exitStopped {
		t.Errorf("exit status %d\n%s", status, r.stderr)
	}
}

func TestUnixSocketAndJSONLog(t *testing.T) {
	cmd := command(t, "--listen", "unix:sock", "--log-format", "json")
	for _, sig := range []os.Signal{os.Kill, syscall.SIGTERM} { // the killed one leaves its socket behind
		again := command(t, cmd.Args[1:]...)
		again.Dir = cmd.Dir
		r := start(t, again)
		if r.addr != "unix:sock" {
			t.Errorf("%q", r.ready)
		}
		c := dial(t, client.Options{Addr: "unix:" + filepath.Join(cmd.Dir, "sock")})
		if err := c.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		r.stop(t, sig)
		if sig == syscall.SIGTERM && !strings.Contains(r.stderr.String(), `"msg":"stopped"`) {
			t.Errorf("%s", r.stderr)
		}
	}
}

// failed runs a command that is to end by itself and returns what it said.
func failed(t *testing.T, cmd *exec.Cmd) (status int, stderr string) {
	t.Helper()
	var stdout, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &errors
	_ = cmd.Run() // the status says it
	if stdout.Len() > 0 {
		t.Errorf("%v: standard output %q", cmd.Args[1:], &stdout)
	}
	return cmd.ProcessState.ExitCode(), errors.String()
}

func TestFolderHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	first := start(t, command(t, "--data-dir", dir))
	status, stderr := failed(t, command(t, "--data-dir", dir))
	if status != exitFailed || !strings.HasPrefix(stderr, "kithd: the data folder is in use by another process: "+dir) ||
		!strings.Contains(stderr, "stop that process, or give this one a folder of its own") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	if strings.Count(stderr, "\n") != 1 {
		t.Errorf("more than one line: %s", stderr)
	}
	c := dial(t, client.Options{Addr: first.addr})
	if err := c.Ping(context.Background()); err != nil {
		t.Errorf("the first owner: %v", err)
	}
	status, stderr = failed(t, command(t, "--listen", first.addr))
	if status != exitFailed || !strings.HasSuffix(stderr, "stop it or choose another with --listen or --peer-listen\n") {
		t.Errorf("a port in use: exit status %d, %s", status, stderr)
	}
}

func TestWrongUsage(t *testing.T) {
	var b strings.Builder
	empty, taken := filepath.Join(t.TempDir(), "empty"), t.TempDir()
	for _, path := range []string{empty, filepath.Join(taken, "thesis.doc")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := t.TempDir()
	if err := os.WriteFile(filepath.Join(old, "IDENTITY"), []byte(`{"format":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"serve"}, {"--frob"}, {"--listen"}, {"--listen", "7400"}, {"--listen", "127.0.0.1:99999"}, {"--peer-listen", "x"}, {"--data-dir", ""},
		{"--shards", "3"}, {"--shards", "0"}, {"--shards", "512"}, {"--shards", "four"}, {"--following-limit", "0"}, {"--following-limit", "-1"},
		{"--following-limit", "4294967296"}, {"--min-free-disk", "1GB"}, {"--min-free-disk", "-1"}, {"--log-level", "loud"}, {"--log-format", "xml"}, {"--tls-cert", "x"}, {"--tls-cert", "x", "--tls-key", "y"},
		{"--token-file", "no-such-file"}, {"--token-file", empty}, {"--data-dir", taken}, {"--data-dir", old}, {"--data-dir", empty},
	} {
		status, stderr := failed(t, command(t, args...))
		b.WriteString("$ kithd " + strings.Join(args, " ") + "\n" + stderr + "-- exit status " + string(rune('0'+status)) + " --\n\n")
	}
	golden.Compare(t, "usage", strings.NewReplacer(empty, "EMPTY-FILE", taken, "TAKEN-FOLDER", old, "OLD-FOLDER").Replace(b.String()))
}

func TestHelp(t *testing.T) {
	var stdout bytes.Buffer
	cmd := command(t, "--help")
	cmd.Stdout = &stdout
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "help", strings.ReplaceAll(stdout.String(), `"127.0.0.1:0"`, `"127.0.0.1:7400"`))
}
