package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// allocated returns how many bytes f allocates. The runtime counts those of the
// whole process, so what exceeds most is measured again, and the least counts.
func allocated(most uint64, f func()) uint64 {
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least <= most {
			break
		}
	}
	return least
}

func TestTruncatedBodiesAreRefused(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		body := s.body()
		for n := range body {
			// A copy of its own, so that reading too far is caught.
			if err := s.fresh().Decode(bytes.Clone(body[:n:n])); err == nil {
				t.Errorf("accepted after %d of %d bytes", n, len(body))
			} else if _, isJSON := s.value.(*Status); !isJSON && !errors.Is(err, ErrTruncated) {
				t.Errorf("after %d of %d bytes: %v", n, len(body), err)
			}
		}
	})
}

func TestTrailingBytesAreRefused(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		err := s.fresh().Decode(append(s.body(), 1))
		if _, isJSON := s.value.(*Status); isJSON && err == nil || !isJSON && !errors.Is(err, ErrTrailingBytes) {
			t.Errorf("one byte more: %v", err)
		}
	})
}

func TestErrorsNameTheMessage(t *testing.T) {
	err := new(EdgeRequest).Decode(nil)
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "follow") {
		t.Errorf("empty follow: %v", err)
	}
}

// A hostile length or count at any place of any message must be refused, or at
// least not be believed: one that is not backed by bytes allocates nothing.
func TestHugeLengthsAllocateNothing(t *testing.T) {
	const most = 2 << 10 // the error, and the few elements of the sample itself
	huge := [][]byte{
		{0xff, 0xff, 0xff, 0x07},                         // 2^24-1, the longest there is
		{0xff, 0xff, 0xff, 0x7f},                         // 2^28-1
		{0xff, 0xff, 0xff, 0xff, 0x0f},                   // 2^32-1
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // more than any length
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	}
	eachSample(t, func(t *testing.T, s sample) {
		if _, isJSON := s.value.(*Status); isJSON {
			return
		}
		body := s.body()
		for at := range body {
			for _, h := range huge {
				forged := append(append(bytes.Clone(body[:at]), h...), body[at+1:]...)
				if n := allocated(most, func() { _ = s.fresh().Decode(forged) }); n > most {
					t.Errorf("% x at byte %d: %d bytes were allocated", h, at, n)
				}
			}
		}
	})
}

// A body of the largest usual size, filled with the smallest elements behind any
// count, must not take a multiple of itself.
func TestFullBodiesAllocateLittle(t *testing.T) {
	const size = DefaultMaxFrameBytes
	const room = 64 // before the filling, for what is put in front of it
	bufs := map[string][]byte{"zeros": make([]byte, room+size), "ones": bytes.Repeat([]byte{1}, room+size)}
	eachSample(t, func(t *testing.T, s sample) {
		if _, isJSON := s.value.(*Status); isJSON {
			return
		}
		body := s.body()
		for name, buf := range bufs {
			for at := range min(len(body), 40) {
				for _, count := range []int{0, 19, 99, 499, 999, 4095, size / 6} {
					prefix := appendUvarint(bytes.Clone(body[:at]), count)
					forged := buf[room-len(prefix):]
					copy(forged, prefix)
					if n := allocated(size, func() { _ = s.fresh().Decode(forged) }); n > size {
						t.Fatalf("%s behind count %d at byte %d: %d bytes were allocated", name, count, at, n)
					}
				}
			}
		}
	})
}

func TestFullStatusAllocatesLittle(t *testing.T) {
	for _, elements := range []int{DefaultMaxFrameBytes / 3, MaxStatusBytes/3 - 10} {
		body := []byte(`{"shards":[` + strings.Repeat(`{},`, elements) + `{}]}`)
		if n := allocated(DefaultMaxFrameBytes, func() { _ = new(Status).Decode(body) }); n > DefaultMaxFrameBytes {
			t.Errorf("%d shards: %d bytes were allocated", elements, n)
		}
	}
}

func TestReservedFlagsAreRefused(t *testing.T) {
	known := map[string]uint8{
		"EdgeRequest": FlagNoWait, "ImportRequest": FlagNoWait,
		"EdgeReply": replyPending, "ImportReply": replyPending,
		"ListRequest": ReadMask, "InfoRequest": ReadMask, "CheckRequest": ReadMask, "ExportRequest": ReadMask,
		"ListReply": 0, "InfoReply": 0, "CheckReply": 0, "ExportReply": 0,
	}
	for name, mask := range known {
		s := sampleNamed(t, name)
		body := s.body()
		for f := range 256 {
			body[0] = uint8(f)
			err := s.fresh().Decode(body)
			reserved := uint8(f)&^mask != 0 || mask == ReadMask && f&3 == 3
			if reserved != errors.Is(err, ErrReservedFlags) || !reserved && err != nil {
				t.Errorf("%s with flags %08b: %v", name, f, err)
			}
		}
	}
}

// overLimit holds, for each limit, a message that keeps it and one that breaks it by one.
func overLimit() map[string]struct{ most, over Message } {
	type pair = struct{ most, over Message }
	list := func(n int) [][]byte { return make([][]byte, n) }
	text := func(n int) []byte { return make([]byte, n) }
	return map[string]pair{
		"20 user ids in a follow": {&EdgeRequest{UserIDs: list(20)}, &EdgeRequest{UserIDs: list(21)}},
		"100 user ids in a check": {&CheckRequest{UserIDs: list(100)}, &CheckRequest{UserIDs: list(101)}},
		"100 user ids in an info": {&InfoRequest{UserIDs: list(100)}, &InfoRequest{UserIDs: list(101)}},
		"500 items in a page":     {&ListRequest{Limit: 500}, &ListRequest{Limit: 501}},
		"500 items":               {&ListReply{Items: make([]ListItem, 500)}, &ListReply{Items: make([]ListItem, 501)}},
		"1000 rows":               {&ImportRequest{Rows: make([]ImportRow, 1000)}, &ImportRequest{Rows: make([]ImportRow, 1001)}},
		"4096 rows":               {&ExportReply{Rows: make([]ExportRow, 4096)}, &ExportReply{Rows: make([]ExportRow, 4097)}},
		"20 results":              {&EdgeReply{Results: make([]EdgeResult, 20)}, &EdgeReply{Results: make([]EdgeResult, 21)}},
		"1000 results":            {&ImportReply{Results: make([]EdgeResult, 1000)}, &ImportReply{Results: make([]EdgeResult, 1001)}},
		"100 results":             {&CheckReply{Results: make([]CheckResult, 100)}, &CheckReply{Results: make([]CheckResult, 101)}},
		"100 items":               {&InfoReply{Items: make([]InfoItem, 100)}, &InfoReply{Items: make([]InfoItem, 101)}},
		"4096 bytes of cred":      {&Hello{Credentials: text(4096)}, &Hello{Credentials: text(4097)}},
	}
}

func TestLimitsAreNamed(t *testing.T) {
	for name, m := range overLimit() {
		if err := m.most.Decode(m.most.Append(nil)); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		err := m.over.Decode(m.over.Append(nil))
		var limit *LimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), "at most "+name) {
			t.Errorf("%s: one more: %v", name, err)
		}
	}
}

func TestExportLimitCountsAllGroups(t *testing.T) {
	rows := make([]ExportRow, MaxExportRows+1)
	for i := range rows[MaxExportRows/2:] {
		rows[MaxExportRows/2+i].Follower = []byte("b")
	}
	for n, ok := range map[int]bool{MaxExportRows: true, MaxExportRows + 1: false} {
		var limit *LimitError
		err := new(ExportReply).Decode((&ExportReply{Rows: rows[:n]}).Append(nil))
		if ok && err != nil || !ok && (!errors.As(err, &limit) || limit.Limit != MaxExportRows) {
			t.Errorf("%d rows in two groups: %v", n, err)
		}
	}
}

func TestUnbackedCountIsRefusedBeforeItsElements(t *testing.T) {
	for left, want := range map[int]error{9: ErrTruncated, 10: nil} {
		d := decoder{b: append([]byte{2}, make([]byte, left)...)}
		if n := d.count(5, "things", 7); !errors.Is(d.err, want) || (n == 2) != (want == nil) {
			t.Errorf("2 things of 5 bytes in %d bytes: count %d, %v", left, n, d.err)
		}
	}
}

func TestEmptyListsAreRefused(t *testing.T) {
	for _, m := range []Message{&EdgeRequest{}, &CheckRequest{}, &ImportRequest{}} {
		if err := m.Decode(m.Append(nil)); !errors.Is(err, ErrEmptyList) {
			t.Errorf("%T: %v", m, err)
		}
	}
	for _, m := range []Message{&InfoRequest{}, &ListReply{}, &ExportReply{}} {
		if err := m.Decode(m.Append(nil)); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
}

func TestLongFormsOfLengthsAreRefused(t *testing.T) {
	for _, b := range [][]byte{{0x80, 0}, {0x81, 0x80, 0}, {0xff, 0xff, 0xff, 0x08}, {0x80, 0x80, 0x80, 0x80, 1}} {
		d := decoder{b: append(b, make([]byte, 100)...)}
		if n := d.uvarint(); !errors.Is(d.err, ErrMalformed) || n != 0 {
			t.Errorf("% x: %d, %v", b, n, d.err)
		}
	}
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 1<<21 - 1, 1 << 21, MaxBodyBytes} {
		b := appendUvarint(nil, n)
		if want := binary.AppendUvarint(nil, uint64(n)); !bytes.Equal(b, want) {
			t.Errorf("%d is % x, not % x", n, b, want)
		}
		d := decoder{b: b}
		if got := d.uvarint(); got != n || d.end("length") != nil {
			t.Errorf("%d came back as %d: %v", n, got, d.err)
		}
	}
}

func TestExportGroupsHaveOneForm(t *testing.T) {
	start := new(ExportReply).Append(nil)
	start = start[:len(start)-1]
	bodies := map[string][]byte{
		"empty group":       append(bytes.Clone(start), 1, 1, 'a', 0, 0, 0, 0, 0),
		"group in two":      append(bytes.Clone(start), 2, 1, 'a', 1, 1, 'b', 0, 0, 0, 0, 1, 'a', 1, 1, 'c', 0, 0, 0, 0),
		"two groups":        append(bytes.Clone(start), 2, 1, 'a', 1, 1, 'b', 0, 0, 0, 0, 1, 'b', 1, 1, 'c', 0, 0, 0, 0),
		"count without end": append(bytes.Clone(start), 1, 1, 'a', 2, 1, 'b', 0, 0, 0, 0),
	}
	want := map[string]error{"empty group": ErrMalformed, "group in two": ErrMalformed, "count without end": ErrTruncated}
	for name, body := range bodies {
		if err := new(ExportReply).Decode(body); !errors.Is(err, want[name]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
