package edgelist

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kithgraph/kith/shard"
)

// written returns the rows as Writer writes them.
func written(t testing.TB, rows []follow) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf)
	for _, row := range rows {
		if err := w.Write([]byte(row.Follower), []byte(row.Followee), row.Time); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.Rows() != uint64(len(rows)) {
		t.Errorf("%d rows counted as %d", len(rows), w.Rows())
	}
	return buf.Bytes()
}

// checkRoundTrip writes and reads again every ordered pair of ids.
func checkRoundTrip(t *testing.T, time uint32, ids ...string) {
	t.Helper()
	var rows []follow
	for _, a := range ids {
		for _, b := range ids {
			rows = append(rows, follow{uint64(len(rows) + 1), a, b, time})
		}
	}
	for first := range rows { // each id leads a file once
		moved := append([]follow{}, rows[first:]...)
		moved = append(moved, rows[:first]...)
		for i := range moved {
			moved[i].Line = uint64(i + 1)
		}
		text := written(t, moved)
		got, refused, err := readAll(t, bytes.NewReader(text), Options{})
		if err != nil || refused != nil {
			t.Fatalf("%q: %v %v", text, refused, err)
		}
		if diff := cmp.Diff(moved, got); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
	}
}

func TestRoundTripOfAwkwardIDs(t *testing.T) {
	checkRoundTrip(t, 1702262118, "alice", "1", " ", "  ", " a", "a ", "mia schmidt", "#", "# a b", "#1 2 3",
		"\ufeff", "\ufeffa", "\ufeff#", "köln", "ユーザー", "\u00a0", "\u2028", "7 8", "P*M", "\\t", "\"a\"", "-", "--all")
}

func TestWriterIsGolden(t *testing.T) {
	got := written(t, []follow{{0, "alice", "bob", 1702262118}, {0, "#tag", "mia schmidt", 1}})
	if want := "alice\tbob\t1702262118\n\t#tag\tmia schmidt\t1\n"; string(got) != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("alice"), []byte("# b"), uint32(7))
	f.Add([]byte(" \ufeff"), []byte("1 2 3"), uint32(0))
	f.Fuzz(func(t *testing.T, a, b []byte, time uint32) {
		if shard.CheckUserID(a) != nil || shard.CheckUserID(b) != nil {
			return
		}
		checkRoundTrip(t, time, string(a), string(b))
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a b\n\tc\td\t7\r\n# x\nbad\n"))
	f.Add(gzipped(f, "a b\n"))
	f.Add(zstandard(f, "a b\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rows, refused, err := readAll(t, bytes.NewReader(in), Options{MaxLineBytes: 300})
		if err != nil && !errors.Is(err, ErrCompression) {
			t.Fatal(err)
		}
		var last uint64
		for i, row := range rows {
			if row.Line <= last {
				t.Errorf("line %d comes behind line %d", row.Line, last)
			}
			last = row.Line
			rows[i].Line = uint64(i + 1)
		}
		for _, line := range refused {
			if line.Text == "" || line.Err == nil {
				t.Errorf("refused without text or reason: %+v", line)
			}
		}
		again, refused, err := readAll(t, bytes.NewReader(written(t, rows)), Options{})
		if err != nil || refused != nil || !cmp.Equal(rows, again) {
			t.Errorf("not the same again: %v %v %s", refused, err, cmp.Diff(rows, again))
		}
	})
}
