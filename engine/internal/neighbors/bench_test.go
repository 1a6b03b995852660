package neighbors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// A graph like a real one: list lengths are log-normal with median 20 and mean 50.
const (
	benchUIDs  = 1 << 20
	fiveYears  = 157_000_000
	benchStart = 1_600_000_000
)

func logNormal(rnd *rand.Rand) int {
	sigma := math.Sqrt(2 * math.Log(50.0/20))
	return min(int(math.Round(20*math.Exp(sigma*rnd.NormFloat64()))), benchUIDs/4)
}

// edges draws (list, key) pairs whose number a list is log-normal.
func benchEdges(lists int) (owners []uint32, keys []Key) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range lists {
		for range logNormal(rnd) {
			owners = append(owners, uint32(i))
		}
	}
	rnd.Shuffle(len(owners), func(i, j int) { owners[i], owners[j] = owners[j], owners[i] })
	for range owners {
		keys = append(keys, MakeKey(benchStart+rnd.Uint32N(fiveYears), rnd.Uint32N(benchUIDs)))
	}
	return owners, keys
}

var benchOrders = []string{"ascending", "random"}

// BenchmarkInsert builds 200,000 lists edge by edge; an operation is one edge.
// Ascending is live traffic, random an import.
func BenchmarkInsert(b *testing.B) {
	const lists = 200_000
	owners, keys := benchEdges(lists)
	for _, order := range benchOrders {
		b.Run(order, func(b *testing.B) {
			keys := slices.Clone(keys)
			if order == "ascending" {
				sortKeys(keys)
			}
			var handles []List
			var p *Pool
			for i := 0; i < b.N; i++ {
				at := i % len(keys)
				if at == 0 {
					p, handles = NewPool(func(uint32, Key) {}), make([]List, lists)
				}
				p.Insert(&handles[owners[at]], owners[at], keys[at])
			}
			b.ReportMetric(float64(p.MemoryBytes().Total()+8*lists)/float64(countMembers(handles)), "B/member")
		})
	}
}

// BenchmarkRemove takes the edges of BenchmarkInsert out again in another order.
func BenchmarkRemove(b *testing.B) {
	const lists = 200_000
	owners, keys := benchEdges(lists)
	p, handles := NewPool(func(uint32, Key) {}), make([]List, lists)
	at := len(keys)
	for i := 0; i < b.N; i++ {
		if at == len(keys) {
			b.StopTimer()
			for j, k := range keys {
				p.Insert(&handles[owners[j]], owners[j], k)
			}
			at = 0
			b.StartTimer()
		}
		p.Remove(&handles[owners[at]], owners[at], keys[at])
		at++
	}
}

func sortKeys(keys []Key) { slices.Sort(keys) }

func countMembers(handles []List) int {
	n := 0
	for _, l := range handles {
		n += l.Len()
	}
	return n
}

// randomList inserts n members with uids below limit.
func randomList(p *Pool, rnd *rand.Rand, n int, limit uint32) List {
	keys := make([]Key, 0, n)
	for len(keys) < n {
		keys = append(keys, MakeKey(benchStart+rnd.Uint32N(fiveYears), rnd.Uint32N(limit)))
	}
	sortKeys(keys)
	var l List
	for _, k := range keys {
		p.Insert(&l, 0, k)
	}
	return l
}

func memberUIDs(p *Pool, l List) []uint32 {
	var uids []uint32
	for _, k := range p.Before(l, math.MaxUint64, nil, l.Len()) {
		uids = append(uids, k.UID())
	}
	return uids
}

func BenchmarkContains(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := NewPool(nil)
	for _, n := range []int{5, 20, 50, 64, 65, 200, 500, 2000, 4000, 5000, 100_000} {
		l := randomList(p, rnd, n, benchUIDs)
		members := memberUIDs(p, l)
		rnd.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		misses := make([]uint32, 1024)
		for i := range misses {
			misses[i] = rnd.Uint32N(benchUIDs)
		}
		for name, uids := range map[string][]uint32{"hit": members[:min(1024, len(members))], "miss": misses} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				hits := 0
				for i := 0; i < b.N; {
					for _, uid := range uids {
						if p.Contains(l, uid) {
							hits++
						}
						i++
					}
				}
				runtime.KeepAlive(hits)
			})
		}
	}
}

// BenchmarkContainsCold checks random uids of random lists, far more than caches hold.
func BenchmarkContainsCold(b *testing.B) {
	const lists = 1_000_000
	p, handles := bulk(lists)
	rnd := rand.New(rand.NewPCG(3, 4))
	uids := make([]uint32, 1<<20)
	owners := make([]uint32, 1<<20)
	for i := range uids {
		uids[i], owners[i] = rnd.Uint32N(benchUIDs), rnd.Uint32N(lists)
	}
	b.ResetTimer()
	hits := 0
	for i := 0; i < b.N; i++ {
		if p.Contains(handles[owners[i&(1<<20-1)]], uids[i&(1<<20-1)]) {
			hits++
		}
	}
	runtime.KeepAlive(hits)
}

// bulk builds lists one after the other, as a load does.
func bulk(lists int) (*Pool, []List) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p, handles := NewPool(nil), make([]List, lists)
	var keys []Key
	for i := range handles {
		keys = keys[:0]
		for range logNormal(rnd) {
			keys = append(keys, MakeKey(benchStart+rnd.Uint32N(fiveYears), rnd.Uint32N(benchUIDs)))
		}
		sortKeys(keys)
		for _, k := range keys {
			p.Insert(&handles[i], uint32(i), k)
		}
	}
	return p, handles
}

// BenchmarkMemory reports the bytes a member of 1,000,000 lists; run it with -benchtime=1x.
func BenchmarkMemory(b *testing.B) {
	const lists = 1_000_000
	for b.Loop() {
		p, handles := bulk(lists)
		n := float64(countMembers(handles))
		m := p.MemoryBytes()
		b.ReportMetric(n, "members")
		b.ReportMetric(float64(m.SlabBytes)/n, "slab-B/member")
		b.ReportMetric(float64(m.SlabUsedBytes)/n, "slab-used-B/member")
		b.ReportMetric(float64(m.BigBytes)/n, "directories-B/member")
		b.ReportMetric(float64(m.BitmapBytes)/n, "bitmaps-B/member")
		b.ReportMetric(float64(m.Total()+8*lists)/n, "total-B/member")
	}
}

func BenchmarkBefore(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := NewPool(nil)
	for _, n := range []int{50, 2000, 100_000} {
		l := randomList(p, rnd, n, benchUIDs)
		for _, limit := range []int{100, 500} {
			b.Run(fmt.Sprintf("%d/%d", n, limit), func(b *testing.B) {
				dst := make([]Key, 0, limit)
				b.ReportAllocs()
				for b.Loop() {
					p.Before(l, MakeKey(benchStart+rnd.Uint32N(fiveYears), 0), dst, limit)
				}
			})
		}
	}
}

func BenchmarkAnd(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := NewPool(nil)
	for _, sizes := range [][2]int{{20, 20}, {50, 50}, {50, 2000}, {200, 200}, {500, 2000}, {2000, 2000}, {4000, 100_000}, {5000, 2000}, {5000, 100_000}} {
		x, y := randomList(p, rnd, sizes[0], benchUIDs), randomList(p, rnd, sizes[1], benchUIDs)
		b.Run(fmt.Sprintf("count/%dx%d", sizes[0], sizes[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.AndCount(x, y)
			}
		})
		dst := make([]Key, 0, 500)
		for _, lists := range [][2]List{{x, y}, {y, x}} {
			b.Run(fmt.Sprintf("before/%dx%d", lists[0].Len(), lists[1].Len()), func(b *testing.B) {
				b.ReportAllocs()
				found := 0
				for b.Loop() {
					found = len(p.AndBefore(lists[0], lists[1], math.MaxUint64, dst, 500))
				}
				b.ReportMetric(float64(found), "keys")
			})
		}
	}
}

// BenchmarkLoad loads stored chunks of lists of all sizes; an operation is a list.
func BenchmarkLoad(b *testing.B) {
	const lists = 100_000
	p, handles := bulk(lists)
	type chunk struct {
		sep    Key
		stored []byte
	}
	chunks := make([][]chunk, lists)
	stored := 0
	for i, l := range handles {
		p.EachChunk(l, func(sep Key) bool {
			bytes, _ := p.ChunkAt(l, sep, nil)
			stored += len(bytes)
			chunks[i] = append(chunks[i], chunk{sep, bytes})
			return true
		})
	}
	members := float64(countMembers(handles))
	var loaded *Pool
	b.ResetTimer()
	for i := range b.N {
		if i%lists == 0 {
			loaded = NewPool(nil)
		}
		var l List
		for _, ch := range chunks[i%lists] {
			if err := loaded.LoadChunk(&l, ch.sep, ch.stored); err != nil {
				b.Fatal(err)
			}
		}
		if err := loaded.FinishLoad(&l); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)*lists/members, "ns/member")
	b.ReportMetric(float64(stored)/members, "stored-B/member")
	b.ReportMetric(float64(loaded.MemoryBytes().Total()+8*lists)/members, "B/member")
}
