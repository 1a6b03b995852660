package raftfsm

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// worked returns the blocks of FORMATS.md that are marked hex, by their names.
func worked(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]byte{}
	for _, part := range strings.Split(string(text), "```hex ")[1:] {
		body, _, ok := strings.Cut(part, "```")
		name, lines, _ := strings.Cut(body, "\n")
		if !ok {
			t.Fatalf("block %q has no end", name)
		}
		var digits strings.Builder
		for _, line := range strings.Split(lines, "\n") {
			line, _, _ = strings.Cut(line, "#")
			digits.WriteString(strings.ReplaceAll(line, " ", ""))
		}
		b, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Errorf("block %q: %v", name, err)
		}
		blocks[name] = b
	}
	return blocks
}

func goldenCommands() []*Command {
	return []*Command{
		{Kind: CommandRegister, UserIDs: [][]byte{[]byte("alice"), []byte("bob")}},
		{Kind: CommandFollow, Targets: []shard.UID{4, 5}, Times: []uint32{0, 10}},
		{Kind: CommandFollow, Me: 4, Targets: []shard.UID{0}},
		{Kind: CommandUnfollow, Targets: []shard.UID{5}},
		{Kind: CommandDeliver, From: 1, First: 300, Items: []engine.Item{
			{Source: 9, Target: 4, Time: testTime}, {Remove: true, Source: 9, Target: 0, Time: 1}}},
		{Kind: CommandTrim, To: 3, Applied: 7},
		{Kind: CommandSettings, FollowingLimit: 5000},
	}
}

func goldenMeta() *stateMeta {
	return &stateMeta{generation: 1, index: 300, term: 7, configIndex: 1, configuration: raft.Configuration{
		Servers: []raft.Server{{Suffrage: raft.Voter, ID: "n1", Address: "a:1"}}}}
}

func goldenMarks() map[uint32]mark {
	return map[uint32]mark{0: {index: 300, term: 7, voteTerm: 6}, 3: {index: 1, term: 1}}
}

func goldenStream() []byte {
	b := appendStreamHeader(nil, 300, 7)
	b = appendStreamFrame(b, []byte("key"), []byte("value"))
	b = appendStreamTrailer(b, 1)
	return appendUint64(b, xxhash.Sum64(b))
}

// encoded returns what this package makes of the things that FORMATS.md works out.
func encoded() map[string][]byte {
	l := goldenLog()
	return map[string][]byte{
		"entry":      entryOf(goldenCommands()...),
		"log-key":    appendLogKey(nil, 2, 300),
		"log-value":  appendLogValue(nil, 2, &l),
		"vote":       appendVote(nil, vote{term: 9, candidate: []byte("n1")}),
		"highwater":  encodeSlot(5, goldenMarks()),
		"state-key":  append(appendRecordPrefix(nil, 2, 1), "key"...),
		"state-meta": appendStateMeta(nil, goldenMeta()),
		"stream":     goldenStream(),
	}
}

func goldenLog() raft.Log {
	return raft.Log{Index: 300, Term: 7, Type: raft.LogCommand, Data: []byte("data"), Extensions: []byte("ex"),
		AppendedAt: time.Unix(testTime, 0)}
}

func TestEncodersMatchTheDocument(t *testing.T) {
	blocks, ours := worked(t), encoded()
	for name, want := range blocks {
		if got, ok := ours[name]; !ok || !bytes.Equal(got, want) {
			t.Errorf("%s: encoded as\n% x\nnot\n% x", name, got, want)
		}
	}
	if len(blocks) != len(ours) {
		t.Errorf("%d blocks in FORMATS.md, not %d", len(blocks), len(ours))
	}
}

// decoders decode a form and return what was in it.
func decoders() map[string]func([]byte) (any, error) {
	return map[string]func([]byte) (any, error){
		"entry": func(b []byte) (any, error) { return decodeAll(b) },
		"log-value": func(b []byte) (any, error) {
			var l raft.Log
			err := decodeLogValue(b, 2, 300, &l)
			return l, err
		},
		"vote":       func(b []byte) (any, error) { return decodeVote(b) },
		"state-meta": func(b []byte) (any, error) { return decodeStateMeta(b) },
		"highwater": func(b []byte) (any, error) {
			_, marks, err := decodeSlot(b)
			return marks, err
		},
		"stream": func(b []byte) (any, error) {
			records := map[string]string{}
			d := newStreamDecoder(300, 7, func(k, v []byte) error { records[string(k)] = string(v); return nil })
			for i := range b { // byte by byte is the hardest
				if _, err := d.Write(b[i : i+1]); err != nil {
					return nil, err
				}
			}
			return records, d.finish()
		},
	}
}

func TestDecodersMatchTheDocument(t *testing.T) {
	want := map[string]any{
		"entry": goldenCommands(), "log-value": goldenLog(), "vote": vote{term: 9, candidate: []byte("n1")},
		"state-meta": goldenMeta(), "highwater": goldenMarks(), "stream": map[string]string{"key": "value"},
	}
	blocks := worked(t)
	for name, decode := range decoders() {
		got, err := decode(blocks[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s: %s", name, cmp.Diff(want[name], got, cmp.AllowUnexported(stateMeta{}, mark{}, vote{})))
		}
	}
}

// Nothing that is cut short, lengthened or of another version is taken for whole.
// An entry may end after any command, and a vote's candidate anywhere.
func TestDecodersRefuseOtherBytes(t *testing.T) {
	for name, decode := range decoders() {
		good := worked(t)[name]
		wholeAt := map[int]bool{len(good): true}
		if name == "entry" {
			for i := range goldenCommands() {
				wholeAt[len(entryOf(goldenCommands()[:i]...))] = true
			}
		}
		for n := range good {
			if _, err := decode(good[:n:n]); (err == nil) != wholeAt[n] && (name != "vote" || n < 9) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			} else if err != nil && !isFormatError(err) {
				t.Errorf("%s cut to %d bytes: untyped %v", name, n, err)
			}
		}
		if name == "entry" || name == "vote" {
			continue
		}
		for n := range good { // checksums find every flip
			bad := bytes.Clone(good)
			bad[n] ^= 1 << (n % 8)
			if _, err := decode(bad); err == nil || !isFormatError(err) {
				t.Errorf("%s with byte %d flipped: %v", name, n, err)
			}
		}
	}
}
