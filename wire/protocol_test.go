package wire

import (
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func protocolText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hexBlocks returns the bytes of all blocks of PROTOCOL.md that are fenced as
// "hex NAME". Every line in them must have a comment.
func hexBlocks(t *testing.T) map[string][]byte {
	t.Helper()
	blocks := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?ms)^```hex (\\w+)\n(.*?)^```$").FindAllStringSubmatch(protocolText(t), -1) {
		name := m[1]
		if _, twice := blocks[name]; twice {
			t.Errorf("PROTOCOL.md has two examples of %s", name)
		}
		var all []byte
		for line := range strings.Lines(m[2]) {
			digits, comment, _ := strings.Cut(line, "#")
			if strings.TrimSpace(comment) == "" {
				t.Errorf("%s: no comment on %q", name, line)
			}
			b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
			if err != nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
			all = append(all, b...)
		}
		blocks[name] = all
	}
	return blocks
}

func TestProtocolExamples(t *testing.T) {
	blocks := hexBlocks(t)
	eachSample(t, func(t *testing.T, s sample) {
		golden, ok := blocks[s.name]
		if !ok {
			t.Fatal("PROTOCOL.md has no example")
		}
		if got := s.frame(); string(got) != string(golden) {
			t.Errorf("encoded\n% x\nnot\n% x", got, golden)
		}
		h, body, rest, err := NextFrame(golden, MinMaxFrameBytes)
		if err != nil || len(rest) != 0 {
			t.Fatalf("splitting off the frame: %v, %d bytes left", err, len(rest))
		}
		if h.Type != s.typ || h.ID != s.id {
			t.Errorf("the header says type %d and id %d", h.Type, h.ID)
		}
		got := s.fresh()
		if err := got.Decode(body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.value, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(Ping{}, PingReply{}, StatusRequest{}, Cancel{})); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	})
	if got := AppendOpening(nil, 1, sampleNamed(t, "Hello").value.(*Hello)); string(got) != string(blocks["Opening"]) {
		t.Errorf("the opening is % x", got)
	}
	if len(blocks) != len(samples())+1 {
		t.Errorf("PROTOCOL.md has %d examples; expected one for the opening and each of %d messages", len(blocks), len(samples()))
	}
}

// tableRows returns the cells of all rows of PROTOCOL.md's tables whose first cell
// matches and that have at least columns cells.
func tableRows(t *testing.T, first string, columns int) [][]string {
	t.Helper()
	pattern := regexp.MustCompile("^" + first + "$")
	var rows [][]string
	for line := range strings.Lines(protocolText(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(line, "|") && len(cells) >= columns && pattern.MatchString(cells[0]) {
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestProtocolCodes(t *testing.T) {
	rows := tableRows(t, `\d+`, 5)
	if len(rows) != len(Codes()) {
		t.Fatalf("PROTOCOL.md lists %d codes of %d", len(rows), len(Codes()))
	}
	for i, c := range Codes() {
		rest, retry := "none", "no"
		if n, ok := c.REST(); ok {
			rest = strconv.Itoa(n)
		}
		if c.SafeToRetry() {
			retry = "yes"
		}
		want := []string{strconv.Itoa(int(c)), c.String(), rest, retry}
		if diff := cmp.Diff(want, rows[i][:4]); diff != "" {
			t.Errorf("code %d (-code +document):\n%s", c, diff)
		}
	}
}

func TestProtocolTypes(t *testing.T) {
	named := map[string]bool{}
	for n := range 256 {
		if typ := Type(n); !strings.HasPrefix(typ.String(), "type_") {
			named[strconv.Itoa(n)+" "+typ.String()] = true
		}
	}
	listed := map[string]bool{}
	for _, row := range tableRows(t, `\d+`, 4) {
		if len(row) == 4 {
			listed[row[0]+" "+row[1]] = true
		}
	}
	if diff := cmp.Diff(named, listed); diff != "" || len(named) != 14 {
		t.Errorf("request types (-code +document):\n%s", diff)
	}
}

func TestProtocolLimits(t *testing.T) {
	want := map[string]int{
		"MaxBodyBytes": MaxBodyBytes, "MaxOpeningBytes": MaxOpeningBytes,
		"DefaultMaxFrameBytes": DefaultMaxFrameBytes, "MinMaxFrameBytes": MinMaxFrameBytes,
		"MaxIDs": MaxIDs, "MaxFollowIDs": MaxFollowIDs, "MaxPage": MaxPage, "DefaultPage": DefaultPage,
		"MaxImportRows": MaxImportRows, "MaxExportRows": MaxExportRows, "MaxCredits": MaxCredits,
		"MaxCredentialsBytes": MaxCredentialsBytes, "MaxCursorBytes": MaxCursorBytes, "MaxTextBytes": MaxTextBytes,
		"MaxStatusBytes": MaxStatusBytes, "MaxStatusShards": MaxStatusShards,
	}
	got := map[string]int{}
	for _, row := range tableRows(t, `(Default)?(Min)?(Max)?[A-Z]\w+`, 3) {
		n, err := strconv.Atoi(row[1])
		if err == nil {
			got[row[0]] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-code +document):\n%s", diff)
	}
}
