package wire

import "testing"

// roundTrip returns a function that encodes and decodes a sample with structs and
// a buffer that are used again, as server and client do.
func roundTrip(tb testing.TB, s sample) func() {
	tb.Helper()
	var buf []byte
	m := s.fresh()
	return func() {
		buf = s.value.Append(buf[:0])
		if err := m.Decode(buf); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestReusedMessagesAllocateNothing(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		if _, isJSON := s.value.(*Status); isJSON {
			return
		}
		f := roundTrip(t, s)
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	all := append(samples(),
		sampleOf("ListReply500", 0, 1, ListReply{Total: 500, Items: fullPage()}),
		sampleOf("CheckRequest100", 0, 1, CheckRequest{Me: []byte("me"), UserIDs: pageIDs()[:100]}),
	)
	for _, s := range all {
		b.Run(s.name, func(b *testing.B) {
			f := roundTrip(b, s)
			b.ReportAllocs()
			b.SetBytes(int64(len(s.body())))
			for b.Loop() {
				f()
			}
		})
	}
}

func pageIDs() [][]byte {
	out := make([][]byte, MaxPage)
	for i := range out {
		out[i] = []byte("twenty-byte-user-id!")
	}
	return out
}

func fullPage() []ListItem {
	items := make([]ListItem, MaxPage)
	for i, id := range pageIDs() {
		items[i] = ListItem{UserID: id, FollowTime: 1702262118}
	}
	return items
}
