package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kithgraph/kith/wire"
)

func TestWrongUsage(t *testing.T) {
	sh := shell{addr: "127.0.0.1:1"} // nothing is ever asked
	compare(t, "usage", sh.transcript("frobnicate", "follow", "follow alice", "followers", "followers alice bob", "status now",
		"import", "import no-such-file", "import .", "--output yaml ping", "ping --output", "ping --frob", "followers alice --limit",
		"followers alice --limit ten", "followers alice --limit 0", "followers alice --limit -5", "check alice -bob",
		"--timeout 0s ping", "--timeout soon ping", "--addr= ping", "--token-file no-such-file ping", "--tls-ca no-such-file ping",
		"import no-such-file --window 0", "import --from-line -1 x"), "127.0.0.1:1", "ADDR")
}

func TestHelp(t *testing.T) {
	var sh shell
	text := sh.transcript("--help", "follow --help", "followers --help", "import --help", "export --help")
	compare(t, "help", text)
	if bare := sh.run(); bare.status != exitOK || !strings.Contains(text, bare.stdout) {
		t.Errorf("without arguments:\n%v", bare)
	}
	if v := sh.run("--version"); v.status != exitOK || !strings.HasPrefix(v.stdout, "kith version ") {
		t.Errorf("--version:\n%v", v)
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	sh := startNode(t)
	sh.run("follow", "alice", "bob", "-c", "--", "-o") // refused: -c is no flag
	if r := sh.run("follow", "alice", "bob", "--", "-c", "--all", "-"); r.status != exitOK {
		t.Fatal(r)
	}
	want := sh.run("--output", "json", "following", "--limit", "2", "alice")
	if want.status != exitOK || !strings.Contains(want.stdout, `{"items":[{"user_id":"-",`) {
		t.Fatal(want)
	}
	for _, line := range []string{
		"following alice --limit 2 --output json", "following --limit=2 -o json alice", "-o=json following alice --limit 2",
		"following alice --limit 2 -o json --", "--output json following --limit 2 -- alice", "--timeout 5s following -o json --limit 2 alice",
	} {
		if got := sh.run(strings.Fields(line)...); got != want {
			t.Errorf("%s:\n%v", line, got)
		}
	}
}

func TestOutputIsATableOnATerminalOnly(t *testing.T) {
	sh := startNode(t)
	for _, sh.terminal = range []bool{true, false} {
		got := sh.run("info", "alice").stdout
		if isTable := strings.HasPrefix(got, "USER ID"); isTable != sh.terminal {
			t.Errorf("terminal %v: %s", sh.terminal, got)
		}
	}
}

func TestAwkwardIDs(t *testing.T) {
	sh := startNode(t)
	ids := []string{"", "a\x1b[2J\tb\n", "\xff", strings.Repeat("x", 129), "alice", "mia schmidt", "\u00a0", "köln"}
	var b strings.Builder
	for _, output := range []string{"table", "json", "tsv"} {
		b.WriteString(sh.run(append([]string{"follow", "alice", "--output", output}, ids...)...).String())
		b.WriteString(sh.run("following", "alice", "--all", "--output", output).String())
	}
	compare(t, "awkward", b.String())
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	sh := shell{addr: addr}
	compare(t, "unreachable", sh.transcript("ping", "follow alice bob", "--addr unix:no-such-socket ping", "--addr "+addr+","+addr+" ping"), addr, "ADDR")
}

// TestNodesInTrouble shows what is said of answers that a healthy node never gives.
func TestNodesInTrouble(t *testing.T) {
	var b strings.Builder
	answers := func(code wire.Code, message, leader string) *reply {
		return &reply{code, &wire.ErrorReply{Message: message, Leader: leader}}
	}
	for _, node := range []struct {
		name  string
		hello *reply
		other *reply
	}{
		{"wrong secret", answers(wire.Denied, "the credentials are wrong", ""), nil},
		{"shutting down", answers(wire.Unavailable, "the server is shutting down", ""), nil},
		{"hostile words", answers(wire.Denied, "\x1b[2Jyou\r\nwin\u202e", ""), nil},
		{"denied", nil, answers(wire.Denied, "", "")},
		{"hangs up", nil, nil},
		{"answers nonsense", nil, &reply{wire.OK, &wire.Ping{}}},
		{"no leader", nil, answers(wire.NotLeader, "", "")},
		{"another leader", nil, answers(wire.NotLeader, "ask there", "10.0.0.7:7400")},
		{"overloaded", nil, answers(wire.Unavailable, "the server's memory for requests is used up", "")},
		{"unknown code", nil, answers(42, "hm", "")},
	} {
		addr := fakeNode(t, func(typ wire.Type, _ []byte) *reply {
			if typ == wire.TypeHello {
				return node.hello
			}
			return node.other
		})
		text := shell{addr: addr}.transcript("--timeout 200ms info alice")
		b.WriteString("# " + node.name + "\n" + strings.ReplaceAll(text, addr, "ADDR"))
	}
	compare(t, "trouble", b.String())
}

func TestSecretsAreShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shown := ""
	addr := fakeNode(t, func(typ wire.Type, body []byte) *reply {
		if typ != wire.TypeHello {
			answer := ok(&wire.PingReply{})
			return &answer
		}
		var hello wire.Hello
		if err := hello.Decode(body); err != nil {
			t.Error(err)
		}
		shown = string(hello.Credentials)
		return nil
	})
	sh := shell{addr: addr}
	if r := sh.run("ping", "--token-file", path); r.status != exitOK || shown != "open sesame" {
		t.Errorf("%q was shown; %v", shown, r)
	}
}

func TestPingAndStatus(t *testing.T) {
	status := ok(&wire.Status{
		ClusterID: "5f0c", NodeID: "node-1", Version: "v1\x1b", UptimeSeconds: 3723, Ready: true, FollowingLimit: 5000, Users: 12, Follows: 34,
		Connections: 1, Memory: wire.MemoryStatus{HeapBytes: 5 << 20, SystemBytes: 9 << 20, GraphBytes: 1234},
		Shards: wire.ShardList{
			{Shard: 0, Replicas: []string{"node-1"}, Leader: true, LeaderID: "node-1", Ready: true, Term: 2, Applied: 17, Commit: 17, LogFirst: 3, LogLast: 17, Users: 5, Follows: 20,
				Queued: 9, InFlight: 4, Waiting: 6, GraphBytes: 1000},
			{Shard: 1, Replicas: []string{"node-2"}, LeaderID: "node-2", Users: 7, Follows: 14, Outbox: 3, GraphBytes: 234},
		},
	})
	addr := fakeNode(t, func(typ wire.Type, _ []byte) *reply {
		switch typ {
		case wire.TypeHello:
			return nil
		case wire.TypeStatus:
			return &status
		}
		answer := ok(&wire.PingReply{})
		return &answer
	})
	compare(t, "node", shell{addr: addr}.transcript("-o table status", "-o json status", "-o tsv status", "-o table ping", "-o json ping", "-o tsv ping"), addr, "ADDR")
	full := *status.body.(*wire.Status)
	full.Disk, full.WritesRefused = &wire.DiskStatus{FreeBytes: 5 << 20, MinFreeBytes: 640 << 20}, "disk nearly full\a"
	status.body = &full
	compare(t, "full", shell{addr: addr}.transcript("-o table status", "-o json status"), addr, "ADDR")
}
