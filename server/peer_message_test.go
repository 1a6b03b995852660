package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// goldenPeerDeliver pins version 1 of the message.
const goldenPeerDeliver = `
01                                      version
01                                      deliver
0300                                    from shard 3
0100                                    to shard 1
0200                                    2 items
0807060504030201                        the first is number 0x0102030405060708
00 0b000000 15000000 00f15365           user 11 follows user 21 since 0x6553f100
01 ff000000 05000080 ffffffff           user 255 no longer follows user 0x80000005
`

func goldenPeerMessage() peerDeliver {
	return peerDeliver{From: 3, To: 1, First: 0x0102030405060708, Items: []engine.Item{
		{Source: 11, Target: 21, Time: 0x6553f100},
		{Remove: true, Source: 255, Target: 0x80000005, Time: 1<<32 - 1},
	}}
}

func goldenBytes(t testing.TB, golden string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(golden) {
		for field := range strings.FieldsSeq(line) {
			if _, err := hex.DecodeString(field); err != nil {
				break
			}
			digits.WriteString(field)
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPeerDeliverIsGolden(t *testing.T) {
	want, golden := goldenPeerMessage(), goldenBytes(t, goldenPeerDeliver)
	if got := want.append(nil); !bytes.Equal(got, golden) {
		t.Errorf("encoded as %x, not %x", got, golden)
	}
	var got peerDeliver
	if err := got.decode(golden); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPeerDeliverTruncatedAnywhere(t *testing.T) {
	golden := goldenBytes(t, goldenPeerDeliver)
	for n := range golden {
		if err := new(peerDeliver).decode(golden[:n]); !errors.Is(err, errPeerMessageTruncated) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestPeerDeliverRefusesBadBytes(t *testing.T) {
	golden := goldenBytes(t, goldenPeerDeliver)
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"version 0":       {func(b []byte) []byte { b[0] = 0; return b }, errPeerMessageVersion},
		"version 2":       {func(b []byte) []byte { b[0] = 2; return b }, errPeerMessageVersion},
		"kind":            {func(b []byte) []byte { b[1] = 2; return b }, errPeerMessageCorrupt},
		"no items":        {func(b []byte) []byte { b[6] = 0; return b[:peerHeaderBytes] }, errPeerMessageCorrupt},
		"many items":      {func(b []byte) []byte { b[7] = 0xff; return b }, errPeerMessageCorrupt},
		"items missing":   {func(b []byte) []byte { b[6] = 3; return b }, errPeerMessageTruncated},
		"more than items": {func(b []byte) []byte { return append(b, 0) }, errPeerMessageCorrupt},
		"number 0":        {func(b []byte) []byte { clear(b[8:16]); return b }, errPeerMessageCorrupt},
		"numbers wrap":    {func(b []byte) []byte { copy(b[8:16], bytes.Repeat([]byte{0xff}, 8)); return b }, errPeerMessageCorrupt},
		"flags":           {func(b []byte) []byte { b[16] = 2; return b }, errPeerMessageCorrupt},
	} {
		if err := new(peerDeliver).decode(c.change(slices.Clone(golden))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPeerDeliverChecksShards(t *testing.T) {
	layout, err := shard.NewLayout(4)
	if err != nil {
		t.Fatal(err)
	}
	good := goldenPeerMessage()
	if err := good.check(layout, 1); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(m *peerDeliver){
		"source's home":   func(m *peerDeliver) { m.Items[0].Source = 12 },
		"target's home":   func(m *peerDeliver) { m.Items[1].Target = 22 },
		"no source":       func(m *peerDeliver) { m.Items[1].Source = shard.NoUID },
		"other receiver":  func(m *peerDeliver) { m.To = 2 },
		"no such sender":  func(m *peerDeliver) { m.From = 7 },
		"sent to oneself": func(m *peerDeliver) { m.From = 1 },
	} {
		m := goldenPeerMessage()
		change(&m)
		if err := m.check(layout, 1); !errors.Is(err, errPeerMessageMisdirected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	far := peerDeliver{From: 3, To: 9, First: 1, Items: good.Items}
	if err := far.check(layout, 9); !errors.Is(err, errPeerMessageMisdirected) {
		t.Errorf("a shard that the layout has not: %v", err)
	}
}

func TestDeliverRefusesBadMessages(t *testing.T) {
	inBubble(t, 4, nil, func(t *testing.T, b *writeBench) {
		good := goldenPeerMessage()
		for to, payload := range map[shard.ID][]byte{0: nil, 1: {9}, 2: good.append(nil), 200: good.append(nil)} {
			var got error
			b.writer.handleDeliver(to, payload, func(_ uint64, err error) { got = err })
			if got == nil {
				t.Errorf("shard %d took %x", to, payload)
			}
		}
	})
}

func FuzzPeerDeliver(f *testing.F) {
	golden := goldenBytes(f, goldenPeerDeliver)
	f.Add(golden)
	f.Add(golden[:peerHeaderBytes])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m peerDeliver
		if m.decode(b) != nil {
			return
		}
		if got := m.append(nil); !bytes.Equal(got, b) {
			t.Errorf("%x was decoded and encoded as %x", b, got)
		}
	})
}
