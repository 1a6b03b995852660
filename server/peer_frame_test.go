package server

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kithgraph/kith/raftfsm"
)

// peersExamples returns the blocks of PEERS.md that are fenced as "hex NAME".
// Every line in them has a comment.
func peersExamples(tb testing.TB) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile("PEERS.md")
	if err != nil {
		tb.Fatal(err)
	}
	blocks := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?ms)^```hex (\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		var all []byte
		for line := range strings.Lines(m[2]) {
			digits, comment, _ := strings.Cut(line, "#")
			b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
			if err != nil || strings.TrimSpace(comment) == "" {
				tb.Fatalf("%s: %q: %v", m[1], line, err)
			}
			all = append(all, b...)
		}
		blocks[m[1]] = all
	}
	return blocks
}

// portSample is a whole exchange, as PEERS.md shows it.
func portSample(tb testing.TB) map[string][]byte {
	id := testPortIdentity(tb, testIdentity("node-b"))
	hello := portHello{MinVersion: 1, MaxVersion: 1, MaxBodyBytes: 1 << 20, ClusterID: id.ClusterID, NodeID: "node-a"}
	challenge := portChallenge{Version: 1, ClusterID: id.ClusterID, NodeID: "node-b"}
	for i := range portNonceBytes {
		hello.Nonce[i], challenge.Nonce[i] = byte(i), 0x80+byte(i)
	}
	helloFrame := appendOpeningFrame(nil, portHelloKind, &hello)
	challengeFrame := appendOpeningFrame(nil, portChallengeKind, &challenge)
	proofFrame := appendOpeningFrame(nil, portProofKind, &portProof{Proof: id.dialerProof(helloFrame, challengeFrame)})
	welcome := portWelcome{MaxBodyBytes: 1 << 20, Proof: id.listenerProof(helloFrame, challengeFrame, proofFrame, 1<<20)}
	seed := portSeed(&hello.Nonce, &challenge.Nonce)
	applied := deliverAnswer{id: 7, seed: seed, applied: 0x0102030405060709}
	failed := deliverAnswer{id: 8, seed: seed, err: errShardNotReady}
	message := goldenPeerMessage()
	return map[string][]byte{
		"Key":       id.key,
		"Seed":      binary.LittleEndian.AppendUint32(nil, seed),
		"Hello":     append([]byte(portMagic), helloFrame...),
		"Challenge": append([]byte(portMagic), challengeFrame...),
		"Proof":     proofFrame,
		"Welcome":   appendOpeningFrame(nil, portWelcomeKind, &welcome),
		"Deliver":   appendDeliverRequest(nil, seed, 7, message.To, message.append(nil)),
		"Applied":   applied.appendAnswer(nil),
		"Failed":    failed.appendAnswer(nil),
		"Ping":      appendEmptyFrame(nil, seed, portPingKind, 0),
		"Pong":      appendEmptyFrame(nil, seed, portPongKind, 0),
	}
}

func TestPeersExamples(t *testing.T) {
	golden := peersExamples(t)
	for name, got := range portSample(t) {
		if !bytes.Equal(got, golden[name]) {
			t.Errorf("%s of PEERS.md is\n%x, not\n%x", name, golden[name], got)
		}
		delete(golden, name)
	}
	for name := range golden {
		t.Errorf("PEERS.md has %s, which nothing makes", name)
	}
}

// TestPeersTables holds the numbers in the tables of PEERS.md against the code.
func TestPeersTables(t *testing.T) {
	text, err := os.ReadFile("PEERS.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^\| (\d+) \| ([a-z][a-z ]*) \|`).FindStringSubmatch(line); m != nil {
			rows = append(rows, m[1]+" "+m[2])
		}
	}
	want := []string{"1 hello", "2 challenge", "3 proof", "4 welcome", "5 ping", "6 pong", "16 deliver", "128 applied", "129 failed",
		"1 not leader", "2 refused", "3 bad message", "4 unknown", "5 unsupported"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	kinds := []portKind{portHelloKind, portChallengeKind, portProofKind, portWelcomeKind, portPingKind, portPongKind, portDeliverKind, portAppliedKind, portFailedKind}
	if !slices.Equal(kinds, []portKind{1, 2, 3, 4, 5, 6, 16, 128, 129}) {
		t.Errorf("kinds %d", kinds)
	}
}

func TestPortFramesDecode(t *testing.T) {
	golden := portSample(t)
	seed := binary.LittleEndian.Uint32(golden["Seed"])
	for name, decode := range map[string]func(portFrame) (any, error){
		"Hello":     func(f portFrame) (any, error) { var m portHello; err := m.decode(f.Body); return m.NodeID, err },
		"Challenge": func(f portFrame) (any, error) { var m portChallenge; err := m.decode(f.Body); return m.NodeID, err },
		"Proof":     func(f portFrame) (any, error) { var m portProof; err := m.decode(f.Body); return nil, err },
		"Welcome": func(f portFrame) (any, error) {
			var m portWelcome
			err := m.decode(f.Body)
			return m.MaxBodyBytes, err
		},
		"Applied": func(f portFrame) (any, error) { var m deliverAnswer; err := m.decode(f); return m.applied, err },
		"Failed": func(f portFrame) (any, error) {
			var m deliverAnswer
			err := m.decode(f)
			return errors.Is(m.err, raftfsm.ErrNotLeader), err
		},
	} {
		want := map[string]any{"Hello": "node-a", "Challenge": "node-b", "Welcome": uint32(1 << 20), "Applied": uint64(0x0102030405060709), "Failed": true}[name]
		b, seed := golden[name], seed
		if strings.HasPrefix(string(b), portMagic) {
			b = b[len(portMagic):]
		}
		if name != "Applied" && name != "Failed" {
			seed = 0
		}
		f, size, err := parsePortFrame(b, portOpeningBytes, seed)
		if err != nil || size != len(b) {
			t.Fatalf("%s: %d bytes, %v", name, size, err)
		}
		if got, err := decode(f); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		for n := range f.Body {
			short := f
			short.Body = f.Body[:n]
			if _, err := decode(short); err == nil && name != "Failed" || name == "Failed" && n == 0 && err == nil {
				t.Errorf("%s: a body of %d bytes is accepted", name, n)
			}
		}
		long := f
		long.Body = append(slices.Clone(f.Body), make([]byte, maxPortTextBytes)...)
		if _, err := decode(long); err == nil {
			t.Errorf("%s: bytes behind its end are accepted", name)
		}
	}
}

func TestPortFrameTruncatedAnywhere(t *testing.T) {
	golden := portSample(t)
	frame, seed := golden["Deliver"], binary.LittleEndian.Uint32(golden["Seed"])
	for n := range frame {
		if _, size, err := parsePortFrame(frame[:n], portMinBodyBytes, seed); size != 0 || err != nil {
			t.Errorf("%d bytes: %d, %v", n, size, err)
		}
	}
}

func TestPortFrameFlippedAnywhere(t *testing.T) {
	golden := portSample(t)
	frame, seed := golden["Deliver"], binary.LittleEndian.Uint32(golden["Seed"])
	for i := range len(frame) * 8 {
		damaged := slices.Clone(frame)
		damaged[i/8] ^= 1 << (i % 8)
		if f, size, err := parsePortFrame(damaged, portMinBodyBytes, seed); err == nil && size > 0 {
			t.Errorf("bit %d flipped: %+v", i, f)
		}
	}
	if _, _, err := parsePortFrame(frame, portMinBodyBytes, seed+1); !errors.Is(err, errPortChecksum) {
		t.Errorf("a frame of another connection: %v", err)
	}
	if _, _, err := parsePortFrame(frame, 32, seed); !errors.Is(err, errPortFrameLarge) {
		t.Errorf("a frame over the limit: %v", err)
	}
	frame[0] = 2
	if _, _, err := parsePortFrame(frame, portMinBodyBytes, seed); !errors.Is(err, errPortVersion) {
		t.Errorf("a frame of version 2: %v", err)
	}
}

func TestPortRefusesNodeIDs(t *testing.T) {
	for _, id := range []string{"", "a b", "a\nb", "\x1b[2J", "é", strings.Repeat("x", maxNodeIDBytes+1)} {
		if checkNodeID(id) == nil {
			t.Errorf("node id %q is accepted", id)
		}
	}
}

func FuzzPortFrame(f *testing.F) {
	for _, b := range portSample(f) {
		f.Add(bytes.TrimPrefix(b, []byte(portMagic)), uint32(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		frame, size, err := parsePortFrame(b, portMinBodyBytes, seed)
		if err != nil || size == 0 {
			return
		}
		again := beginPortFrame(nil, frame.Kind, frame.ID)
		if again = endPortFrame(append(again, frame.Body...), 0, seed); !bytes.Equal(again, b[:size]) {
			t.Errorf("%x was parsed and encoded as %x", b[:size], again)
		}
	})
}

func FuzzPortOpening(f *testing.F) {
	for name, b := range portSample(f) {
		if len(b) > portHeaderBytes {
			f.Add(bytes.TrimPrefix(b, []byte(portMagic))[portHeaderBytes:], name == "Failed")
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, failed bool) {
		for _, m := range []interface {
			append([]byte) []byte
			decode([]byte) error
		}{&portHello{}, &portChallenge{}, &portProof{}, &portWelcome{}} {
			if m.decode(body) == nil && !bytes.Equal(m.append(nil), body) {
				t.Errorf("%x was decoded and encoded as %x", body, m.append(nil))
			}
		}
		frame := portFrame{Kind: portAppliedKind, Body: body}
		if failed {
			frame.Kind = portFailedKind
		}
		var answer deliverAnswer
		if err := answer.decode(frame); err == nil && (answer.err != nil) != failed {
			t.Errorf("%x: %+v", body, answer)
		}
		_, _, _ = decodeDeliverRequest(body)
	})
}
