package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// storedExample returns the options and the records of a graph that has some of
// everything: two blocks of names, a list of several chunks, two blocks of items.
func storedExample(t testing.TB) (Options, []record) {
	t.Helper()
	layout, err := shard.NewLayout(2)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(t, layout, 0, 5000)
	for n := range 70 {
		if _, err := g.Register(idOf(layout, 0, n)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint32(700) {
		g.Follow(0, layout.UID(i, 1), 1000+i)
	}
	g.Trim(1, 300)
	g.Follow(2, 0, 7)
	g.Deliver(1, 1, []Item{{Source: 1, Target: 0, Time: 5}})
	return Options{Layout: layout}, sortedRecords(dump(t, g))
}

func isStoredError(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnknownVersion)
}

func TestLoaderLoadsTheExample(t *testing.T) {
	o, records := storedExample(t)
	kinds := map[byte]int{}
	for _, rec := range records {
		kinds[rec.key[0]]++
	}
	if kinds[1] != 1 || kinds[2] != 2 || kinds[3] != 4 || kinds[4] != 2 {
		t.Fatalf("records by kind: %v", kinds)
	}
	g, err := load(o, records)
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, g)
}

func TestLoaderFindsEveryFlippedBit(t *testing.T) {
	o, records := storedExample(t)
	for i, rec := range records {
		for bit := range 8 * len(rec.value) {
			if len(rec.value) > 300 && bit%37 != 0 {
				continue // CRC-32C finds every single bit; a sample does for long ones
			}
			value := bytes.Clone(rec.value)
			value[bit/8] ^= 1 << (bit % 8)
			if _, err := load(o, with(records, i, record{rec.key, value})); !isStoredError(err) {
				t.Fatalf("record %x with bit %d flipped: %v", rec.key, bit, err)
			}
		}
	}
}

// with returns the records with one of them replaced.
func with(records []record, i int, rec record) []record {
	records = slices.Clone(records)
	records[i] = rec
	return records
}

// A value that ends at any byte is refused, also when its checksum is right for
// what is left.
func TestLoaderFindsEveryTruncation(t *testing.T) {
	o, records := storedExample(t)
	for i, rec := range records {
		for size := range len(rec.value) {
			if size > 300 && size%41 != 0 {
				continue
			}
			cut := bytes.Clone(rec.value[:size])
			if _, err := load(o, with(records, i, record{rec.key, cut})); !isStoredError(err) {
				t.Fatalf("record %x cut to %d bytes: %v", rec.key, size, err)
			}
			if size == 0 || size > len(rec.value)-checksumBytes-1 {
				continue
			}
			sealed := seal([]byte(rec.key), bytes.Clone(rec.value[:size]))
			if _, err := load(o, with(records, i, record{rec.key, sealed})); !isStoredError(err) {
				t.Fatalf("record %x cut to %d bytes and sealed: %v", rec.key, size, err)
			}
		}
	}
}

func TestLoaderFindsMissingRecords(t *testing.T) {
	o, records := storedExample(t)
	for i, rec := range records {
		if _, err := load(o, slices.Delete(slices.Clone(records), i, i+1)); !isStoredError(err) {
			t.Errorf("without record %x: %v", rec.key, err)
		}
	}
	if _, err := load(o, nil); !errors.Is(err, ErrTruncated) {
		t.Errorf("no records: %v", err)
	}
}

// A chunk of an earlier state, intact by itself, is found out by the sum of edges.
func TestLoaderFindsAnOldChunk(t *testing.T) {
	g := newCrowd(t, 10)
	g.Follow(1, 2, 5)
	g.Follow(1, 3, 6)
	old := dump(t, g)
	g.Unfollow(1, 3)
	g.Follow(1, 4, 7)
	now := dump(t, g)
	key := string(appendChunkKey(nil, chunkID{listOwner(1, following), 0}))
	for k, v := range now {
		if k != key {
			old[k] = v
		}
		if v == nil {
			delete(old, k)
		}
	}
	if _, err := load(Options{}, sortedRecords(old)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an old chunk: %v", err)
	}
	old[key] = now[key]
	if _, err := load(Options{}, sortedRecords(old)); err != nil {
		t.Error(err)
	}
}

func TestLoaderRefuses(t *testing.T) {
	o, records := storedExample(t)
	version := bytes.Clone(records[0].value)
	version[0] = 2
	big := func(key []byte) record { return record{string(key), seal(key, []byte{recordVersion, 0})} }
	twice := append([]record{records[0]}, records...)
	metaWith := func(offset int, v uint32) record {
		value := bytes.Clone(records[0].value[:len(records[0].value)-checksumBytes])
		binary.LittleEndian.PutUint32(value[1+offset:], v)
		return record{records[0].key, seal([]byte(records[0].key), value)}
	}
	for _, test := range []struct {
		name    string
		options Options
		records []record
		err     error
	}{
		{"another version", o, with(records, 0, record{records[0].key, version}), ErrUnknownVersion},
		{"another shard", Options{Layout: o.Layout, Shard: 1}, records, ErrForeign},
		{"another layout", Options{}, records, ErrForeign},
		{"twice the same", o, twice, ErrCorrupt},
		{"not meta first", o, records[1:], ErrTruncated},
		{"unknown kind", o, append(slices.Clone(records), big([]byte{5})), ErrCorrupt},
		{"kind 0", o, append([]record{big([]byte{0})}, records...), ErrTruncated},
		{"empty key", o, append([]record{big(nil)}, records...), ErrCorrupt},
		{"long meta key", o, append([]record{records[0]}, big([]byte{1, 0})), ErrCorrupt},
		{"names behind the last", o, slices.Insert(slices.Clone(records), 3, big(appendNamesKey(nil, 2))), ErrCorrupt},
		{"chunk of nobody", o, slices.Insert(slices.Clone(records), len(records)-2, big(appendChunkKey(nil, chunkID{140, 0}))), ErrCorrupt},
		{"items for oneself", o, slices.Insert(slices.Clone(records), len(records)-2, big(appendOutboxKey(nil, 0, 1))), ErrCorrupt},
		{"items behind the last", o, append(slices.Clone(records), big(appendOutboxKey(nil, 1, 3))), ErrCorrupt},
		{"limit 0", o, with(records, 0, metaWith(4, 0)), ErrCorrupt},
		{"highest limit too low", o, with(records, 0, metaWith(8, 4999)), ErrCorrupt},
		{"fewer follow", o, with(records, 0, metaWith(8, 5000)), nil},
		{"more users", o, with(records, 0, metaWith(12, 71)), ErrTruncated},
		{"fewer users", o, with(records, 0, metaWith(12, 69)), ErrCorrupt},
		{"more edges", o, with(records, 0, metaWith(16, 702)), ErrTruncated},
		{"another sum of edges", o, with(records, 0, metaWith(32, 1)), ErrCorrupt},
	} {
		if _, err := load(test.options, test.records); !errors.Is(err, test.err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	l := NewLoader(o)
	first := l.Add([]byte{9}, nil)
	if second := l.Add([]byte(records[0].key), records[0].value); first == nil || second != first {
		t.Errorf("after %v: %v", first, second)
	}
}

func TestLoaderEndsOnce(t *testing.T) {
	o, records := storedExample(t)
	l := NewLoader(o)
	for _, rec := range records {
		if err := l.Add([]byte(rec.key), rec.value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Finish(); err == nil {
		t.Error("a second graph")
	}
	if err := l.Add([]byte{1}, nil); err == nil {
		t.Error("a record after the end")
	}
}

// FuzzLoader edits stored records, seals them again so that the edit is not merely
// found by the checksum, and loads them: an error or a graph, never a panic.
func FuzzLoader(f *testing.F) {
	o, records := storedExample(f)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 5, 1, 1, 1, 3, 0})
	f.Add([]byte{2, 2, 0, 0, 5, 3, 9, 9, 7, 4, 1, 1})
	f.Fuzz(func(t *testing.T, edits []byte) {
		edited := slices.Clone(records)
		for ; len(edits) >= 4 && len(edited) > 0; edits = edits[4:] {
			edited = edit(edited, int(edits[0])%len(edited), edits[1], edits[2], edits[3])
		}
		g, err := load(o, edited)
		if err != nil {
			if g != nil {
				t.Error("a graph and an error")
			}
			return
		}
		// Whoever can seal can also lie, say about one end of an edge: that Check
		// may find. Reading must go well all the same.
		_ = g.Check()
		for n := range g.Users() {
			for kind := range Mutual + 1 {
				g.Page(kind, g.uid(n), Newest, 1000, nil)
			}
		}
		again, err := load(o, sortedRecords(dumpAll(t, g)))
		if err != nil || again.Checksum() != g.Checksum() {
			t.Errorf("stored again: %v", err)
		}
	})
}

// edit changes one record and seals it.
func edit(records []record, i int, how, a, b byte) []record {
	key, value := []byte(records[i].key), bytes.Clone(records[i].value)
	body := value[:max(1, len(value)-checksumBytes)]
	at := (int(a)<<8 | int(b)) % len(body)
	switch how % 6 {
	case 0:
		body[at] ^= 1 << (b % 8)
	case 1:
		body[at] = b
	case 2:
		body = body[:at]
	case 3:
		body = append(body, bytes.Repeat([]byte{b}, int(a))...)
	case 4:
		key[int(a)%len(key)] = b
	case 5:
		return slices.Delete(slices.Clone(records), i, i+1)
	}
	return with(records, i, record{string(key), seal(key, body)})
}

// dumpAll stores the whole graph, as if nothing had been stored before.
func dumpAll(t testing.TB, g *Graph) map[string][]byte {
	t.Helper()
	g.storedNames = 0
	for s := range g.outbox {
		g.outbox[s].stored = storedRange{}
	}
	for n := range g.Users() {
		for d := range direction(2) {
			g.pool.EachChunk(*g.list(n, d), func(sep neighbors.Key) bool {
				g.dirty.add(chunkID{listOwner(n, d), sep})
				return true
			})
		}
	}
	return dump(t, g)
}
