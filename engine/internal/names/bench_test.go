package names

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// benchmarkIDs returns ids of 16 to 24 bytes, 20 on average.
func benchmarkIDs(count int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([][]byte, count)
	for i := range ids {
		id := strconv.AppendUint(nil, r.Uint64()|1<<63, 10)
		for len(id) < 24 {
			id = append(id, 'a'+byte(r.IntN(26)))
		}
		ids[i] = id[:16+r.IntN(9)]
	}
	return ids
}

func BenchmarkIntern(b *testing.B) {
	ids := benchmarkIDs(1 << 20)
	b.ReportAllocs()
	var table *Table
	for i := 0; b.Loop(); i++ {
		if i%len(ids) == 0 {
			table = New()
		}
		table.Intern(ids[i%len(ids)])
	}
	for _, id := range ids {
		table.Intern(id)
	}
	idBytes := 0
	for n := range uint32(table.Len()) {
		idBytes += len(table.ID(n))
	}
	b.ReportMetric(float64(table.MemoryBytes())/float64(table.Len()), "B/user")
	b.ReportMetric(float64(idBytes)/float64(table.Len()), "B/id")
}

func BenchmarkLookup(b *testing.B) {
	ids := benchmarkIDs(1 << 20)
	table := New()
	for _, id := range ids {
		table.Intern(id)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	b.Run("one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			table.Lookup(ids[i%len(ids)])
		}
	})
	b.Run("batch of 64", func(b *testing.B) {
		ns := make([]uint32, 64)
		for i := 0; b.Loop(); i += 64 {
			at := i % len(ids)
			table.LookupMany(ids[at:at+64], ns)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/name")
	})
}
