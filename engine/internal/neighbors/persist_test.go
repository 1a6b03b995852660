package neighbors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// goldenChunks pins the stored form: stored clusters hold such bytes, so a line
// may only be added.
var goldenChunks = []struct {
	name string
	keys []Key
	hex  string
}{
	{"three members", []Key{MakeKey(1000, 5), MakeKey(1003, 2), MakeKey(1010, 7)},
		"e8030000" + // base: 1000, the first time
			// members 3, capacity 3 << 10, payload width 3 << 20, low width 1 << 26
			"030c3004" +
			// payloads 5 | 2 << 3 | 7 << 6; then lows 0 | 1 << 10 | 0 << 11; then
			// uppers from bit 12 on with ones at 0 + 0, 1 + 1 and 5 + 2
			"d555080000000000"},
	{"uid 0 at time 0", []Key{0},
		"00000000" + // base
			"01040000" + // members 1, capacity 1 << 10, no payload, no lows
			"0100000000000000"}, // uppers: the member's one
	{"two ends of everything", []Key{MakeKey(0, math.MaxUint32), MakeKey(math.MaxUint32, 0)},
		"00000000" + // base
			"0208007e" + // members 2, capacity 2 << 10, payload width 32 << 20, low width 31 << 26
			"ffffffff00000000" + // payloads
			// lows 0 and 2^31-1, each of 31 bits; uppers from bit 62 on with a one at 0 + 0
			"00000080ffffff7f" +
			"0100000000000000"}, // and one at 1 + 1: bit 64
}

func listOf(t testing.TB, p *Pool, keys []Key) List {
	t.Helper()
	var l List
	for _, k := range keys {
		if !p.Insert(&l, 0, k) {
			t.Fatalf("%x is there twice", k)
		}
	}
	return l
}

func TestStoredChunkIsGolden(t *testing.T) {
	for _, g := range goldenChunks {
		p := NewPool(nil)
		l := listOf(t, p, g.keys)
		got, ok := p.ChunkAt(l, 0, []byte("kept"))
		if !ok || string(got[:4]) != "kept" || hex.EncodeToString(got[4:]) != g.hex {
			t.Errorf("%s: %x, %t, not %s", g.name, got, ok, g.hex)
		}
		var loaded List
		stored, _ := hex.DecodeString(g.hex)
		if err := p.LoadChunk(&loaded, 0, stored); err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if err := p.FinishLoad(&loaded); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		slices.Reverse(g.keys)
		if keys := p.Before(loaded, math.MaxUint64, nil, 10); !slices.Equal(keys, g.keys) {
			t.Errorf("%s: loaded as %x", g.name, keys)
		}
	}
}

func TestStoredChunkDoesNotDependOnHistory(t *testing.T) {
	rnd := newRand(t)
	for range 200 {
		var keys []Key
		for uid := range uint32(1 + rnd.IntN(400)) {
			keys = append(keys, MakeKey(rnd.Uint32N(1<<28), uid*7))
		}
		p := NewPool(nil)
		a := listOf(t, p, keys)
		for range 300 {
			k := MakeKey(rnd.Uint32(), 1<<20+rnd.Uint32N(1<<20))
			if p.Insert(&a, 0, k) && !p.Remove(&a, 0, k) {
				t.Fatal("a member cannot be removed")
			}
		}
		rnd.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		x, _ := p.ChunkAt(a, 0, nil)
		y, _ := p.ChunkAt(listOf(t, p, keys), 0, nil)
		if !bytes.Equal(x, y) {
			t.Fatalf("%d members: %x and %x", len(keys), x, y)
		}
	}
}

func TestDamagedChunksAreRefused(t *testing.T) {
	rnd := newRand(t)
	p := NewPool(nil)
	var keys []Key
	for uid := range uint32(100) {
		keys = append(keys, MakeKey(benchStart+rnd.Uint32N(fiveYears), 1+uid*31))
	}
	stored, _ := p.ChunkAt(listOf(t, p, keys), 0, nil)
	for n := range len(stored) {
		if err := p.LoadChunk(new(List), 0, stored[:n]); !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d of %d bytes: %v", n, len(stored), err)
		}
	}
	// A flipped bit either is refused or gives another list that is sound.
	for bit := range 8 * len(stored) {
		damaged := slices.Clone(stored)
		damaged[bit/8] ^= 1 << (bit % 8)
		var l List
		if p.LoadChunk(&l, 0, damaged) == nil && p.FinishLoad(&l) == nil {
			requireSound(t, p, l, damaged)
		}
		p.Drop(&l)
	}
}

// requireSound requires that a loaded list passes its check and stores as it was loaded.
func requireSound(t testing.TB, p *Pool, l List, stored []byte) {
	t.Helper()
	if err := p.Check(l); err != nil {
		t.Fatalf("%x: %v", stored, err)
	}
	if again, ok := p.ChunkAt(l, 0, nil); !ok || !bytes.Equal(again, stored) {
		t.Fatalf("%x is stored as %x", stored, again)
	}
}

func chunkOf(keys ...Key) []byte {
	var words [maxBlockWords]uint64
	var out []byte
	for _, w := range packTight(keys, &words) {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

func TestWrongSequencesOfChunksAreRefused(t *testing.T) {
	type chunk struct {
		sep    Key
		stored []byte
	}
	key := func(i uint32) Key { return MakeKey(i, i) }
	low, high := chunkOf(key(1), key(2), key(3)), chunkOf(key(10), key(11), key(12))
	for _, c := range []struct {
		name   string
		chunks []chunk
		want   string
	}{
		{"right", []chunk{{0, low}, {key(10), high}}, ""},
		{"right, and a separator between keys", []chunk{{0, low}, {key(7), high}}, ""},
		{"first separator not 0", []chunk{{1, low}}, "first separator"},
		{"same separator again", []chunk{{0, low}, {0, high}}, "reaches beyond"},
		{"last key is the next separator", []chunk{{0, low}, {key(3), high}}, "reaches beyond"},
		{"descending", []chunk{{0, high}, {key(1), low}}, "reaches beyond"},
		{"keys below the separator", []chunk{{0, low}, {key(11), high}}, "in the chunk"},
		{"more than a block holds", []chunk{{0, chunkOf(key(1), key(2), key(3), key(4), key(5))}}, "5 members"},
		{"few in two chunks", []chunk{{0, chunkOf(key(1))}, {key(2), chunkOf(key(2))}}, "more than one chunk"},
		{"a uid twice", []chunk{{0, low}, {key(4), chunkOf(MakeKey(5, 1), MakeKey(5, 5))}}, "twice"},
		{"a uid twice in a chunk", []chunk{{0, chunkOf(MakeKey(4, 1), MakeKey(5, 1))}}, "twice"},
		{"empty", []chunk{{0, make([]byte, 16)}}, "header"},
		{"nothing", []chunk{{0, nil}}, "truncated"},
		{"huge", []chunk{{0, make([]byte, 1<<20)}}, "1048576 bytes"},
	} {
		for _, leavesMax := range []int{4, 5, 100} {
			p := NewPoolWith(Options{ScanMax: 2, BlockMax: 4, LeavesMax: leavesMax}, nil)
			var l List
			var err error
			for _, ch := range c.chunks {
				if err == nil {
					err = p.LoadChunk(&l, ch.sep, ch.stored)
				}
			}
			if err == nil {
				err = p.FinishLoad(&l)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, not %q", c.name, err, c.want)
			}
			if err == nil {
				err = p.Check(l)
			}
			if err != nil && c.want == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			p.Drop(&l)
			if m := p.MemoryBytes(); m.SlabUsedBytes != 0 || m.BitmapBytes != 0 {
				t.Errorf("%s: dropped, and %+v in use", c.name, m)
			}
		}
	}
}

func FuzzLoadChunk(f *testing.F) {
	for _, g := range goldenChunks {
		stored, _ := hex.DecodeString(g.hex)
		f.Add(uint64(0), stored)
	}
	f.Add(uint64(7), chunkOf(MakeKey(1, 1), MakeKey(1, 2), MakeKey(1<<31, 1<<31)))
	f.Fuzz(func(t *testing.T, sep uint64, stored []byte) {
		p := NewPool(nil)
		var l List
		err := p.LoadChunk(&l, Key(sep), stored)
		if sep != 0 && err == nil {
			t.Fatal("a first separator above 0 was taken")
		}
		if err == nil && p.FinishLoad(&l) == nil {
			requireSound(t, p, l, stored)
			var second List
			if p.LoadChunk(&second, 0, stored) != nil || second.Len() != l.Len() {
				t.Fatal("loaded only once")
			}
		}
		if err == nil && l.Len() > 8*len(stored) {
			t.Fatalf("%d members of %d bytes", l.Len(), len(stored))
		}
		if m := p.MemoryBytes(); m.SlabUsedBytes > 8*uint64(len(stored)) {
			t.Fatalf("%d bytes in use for %d", m.SlabUsedBytes, len(stored))
		}
	})
}

func TestHugeLoadsAllocateInProportion(t *testing.T) {
	p := NewPool(nil)
	stored := make([]byte, 1<<20)
	if n := testing.AllocsPerRun(10, func() { _ = p.LoadChunk(new(List), 0, stored) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}
