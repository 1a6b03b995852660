package edgelist

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/kithgraph/kith/shard"
)

// follow is a Row that may be kept.
type follow struct {
	Line               uint64
	Follower, Followee string
	Time               uint32
}

// readAll returns the rows of an edge list and the lines that were refused.
func readAll(t testing.TB, in io.Reader, opts Options) (rows []follow, refused []*LineError, err error) {
	t.Helper()
	r, err := NewReader(in, opts)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		var lineErr *LineError
		switch {
		case errors.As(err, &lineErr):
			refused = append(refused, lineErr)
		case err == io.EOF:
			return rows, refused, nil
		case err != nil:
			return rows, refused, err
		default:
			rows = append(rows, follow{row.Line, string(row.Follower), string(row.Followee), row.Time})
		}
	}
}

func TestLinesAsFoundInTheWild(t *testing.T) {
	long := strings.Repeat("x", shard.MaxUserIDBytes)
	for _, test := range []struct {
		in   string
		want []follow
	}{
		{"", nil},
		{"\n\r\n  \n\t\n", nil},
		{"a\tb\n", []follow{{1, "a", "b", 0}}},
		{"a b", []follow{{1, "a", "b", 0}}},
		{"a b\r\nc d\r\n", []follow{{1, "a", "b", 0}, {2, "c", "d", 0}}},
		{"  a \t  b  ", []follow{{1, "a", "b", 0}}},
		{"a\t\tb", []follow{{1, "a", "b", 0}}},
		{"a b\t1700000000", []follow{{1, "a", "b", 1700000000}}},
		{"a b 4294967295", []follow{{1, "a", "b", 4294967295}}},
		{"a\tb\t0", []follow{{1, "a", "b", 0}}},
		{"a\tb\t007\r\n", []follow{{1, "a", "b", 7}}},
		{"# FromNodeId\tToNodeId\n1\t2\n", []follow{{2, "1", "2", 0}}},
		{"# a\tb\t7\n  # c\n\t #\td\n1 2", []follow{{4, "1", "2", 0}}},
		{"#" + strings.Repeat("-", 3*DefaultMaxLineBytes) + "\n1 2", []follow{{2, "1", "2", 0}}},
		{"\ufeff1 2\n", []follow{{1, "1", "2", 0}}},
		{"\ufeff# comment\n\ufeff1 2\n", []follow{{2, "\ufeff1", "2", 0}}},
		{"a #b\n", []follow{{1, "a", "#b", 0}}},
		{"1 1\n1 1\n", []follow{{1, "1", "1", 0}, {2, "1", "1", 0}}},
		{long + "\t" + long + "\t1", []follow{{1, long, long, 1}}},
		// The exact form.
		{"mia schmidt\tjo  ann\t5", []follow{{1, "mia schmidt", "jo  ann", 5}}},
		{" a\tb \t5", []follow{{1, " a", "b ", 5}}},
		{"\t#a\t#b\t5", []follow{{1, "#a", "#b", 5}}},
		{"\ta\tb\t5", []follow{{1, "a", "b", 5}}},
		{" \t  \t5", []follow{{1, " ", "  ", 5}}},
	} {
		for name, in := range map[string]io.Reader{
			"whole": strings.NewReader(test.in), "byte by byte": iotest.OneByteReader(strings.NewReader(test.in)),
		} {
			got, refused, err := readAll(t, in, Options{})
			if err != nil || len(refused) > 0 {
				t.Errorf("%q, %s: %v %v", test.in, name, refused, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%q, %s: %s", test.in, name, diff)
			}
		}
	}
}

func TestRefusedLinesSayWhy(t *testing.T) {
	for _, test := range []struct {
		in     string
		reason error
	}{
		{"a", ErrTooFewColumns},
		{"a,b", ErrTooFewColumns},
		{"a b c d", ErrTooManyColumns},
		{"a\tb\t1\tx", ErrTooManyColumns},
		{"mia schmidt\tbob", ErrTime},
		{"a b -1", ErrTime},
		{"a b 1.5", ErrTime},
		{"a b 4294967296", ErrTime},
		{"a b 1700000000000", ErrTime},
		{"a b 99999999999999999999999999", ErrTime},
		{"a \xff", shard.ErrUserID},
		{"a\x00 b", shard.ErrUserID},
		{"a\u0085\tb\t1", shard.ErrUserID},
		{"a " + strings.Repeat("x", shard.MaxUserIDBytes+1), shard.ErrUserID},
		{strings.Repeat("x", DefaultMaxLineBytes) + " b", ErrLineTooLong},
		{strings.Repeat("x", 5*DefaultMaxLineBytes) + " b", ErrLineTooLong},
	} {
		rows, refused, err := readAll(t, strings.NewReader("# 1\n"+test.in+"\na b"), Options{})
		if err != nil || len(refused) != 1 {
			t.Errorf("%.40q: %v %v", test.in, refused, err)
			continue
		}
		if refused[0].Line != 2 || !errors.Is(refused[0], test.reason) || !strings.HasPrefix(test.in, refused[0].Text) {
			t.Errorf("%.40q: line %d, text %.40q, %v", test.in, refused[0].Line, refused[0].Text, refused[0])
		}
		if diff := cmp.Diff([]follow{{3, "a", "b", 0}}, rows); diff != "" {
			t.Errorf("%.40q: the line behind it: %s", test.in, diff)
		}
	}
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstandard(t testing.TB, text string) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return enc.EncodeAll([]byte(text), nil)
}

func TestCompressionIsRecognisedByContent(t *testing.T) {
	const text = "a b\nc d 7\n"
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9}, zstandard(t, text)...)
	two := append(gzipped(t, "a b\n"), gzipped(t, "c d 7\n")...)
	for name, in := range map[string][]byte{
		"plain": []byte(text), "gzip": gzipped(t, text), "gzip in two members": two,
		"zstd": zstandard(t, text), "zstd behind a skippable frame": skippable,
	} {
		rows, refused, err := readAll(t, bytes.NewReader(in), Options{})
		if err != nil || refused != nil {
			t.Errorf("%s: %v %v", name, refused, err)
		}
		if diff := cmp.Diff([]follow{{1, "a", "b", 0}, {2, "c", "d", 7}}, rows); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDamagedCompressionIsAnError(t *testing.T) {
	text := strings.Repeat("some follower\tsome followee\t12345\n", 50)
	for name, in := range map[string][]byte{"gzip": gzipped(t, text), "zstd": zstandard(t, text)} {
		for cut := 4; cut < len(in); cut++ {
			if _, _, err := readAll(t, bytes.NewReader(in[:cut]), Options{}); !errors.Is(err, ErrCompression) {
				t.Errorf("%s cut at %d of %d: %v", name, cut, len(in), err)
			}
		}
	}
}

func TestErrorsOfTheInputAreFinal(t *testing.T) {
	broken := errors.New("the disk is gone")
	r, err := NewReader(io.MultiReader(strings.NewReader("a b\nc d"), iotest.ErrReader(broken)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("not %v: %v", broken, err)
		}
	}
}

func TestSkipTo(t *testing.T) {
	long := strings.Repeat("x", 2*DefaultMaxLineBytes)
	text := "a b\n# c\n" + long + "\nbad\ne f\n"
	for line, want := range []uint64{1, 1, 5, 5, 5, 5, 0, 0} {
		r, err := NewReader(strings.NewReader(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SkipTo(uint64(line)); err != nil {
			t.Fatalf("skip to %d: %v", line, err)
		}
		row, err := r.Next()
		for isLineError(err) {
			row, err = r.Next()
		}
		if row.Line != want || (err == io.EOF) != (want == 0) {
			t.Errorf("behind a skip to line %d came line %d, not %d: %v", line, row.Line, want, err)
		}
	}
}

func TestRawBytesCountsTheInput(t *testing.T) {
	in := gzipped(t, strings.Repeat("a b\n", 10000))
	r, err := NewReader(bytes.NewReader(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for err == nil {
		_, err = r.Next()
	}
	if err != io.EOF || r.RawBytes() != int64(len(in)) {
		t.Errorf("%d of %d bytes: %v", r.RawBytes(), len(in), err)
	}
}
