package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/kithgraph/kith/shard"
)

const (
	benchUsers   = 100_000
	benchFollows = 3_000_000
)

// benchEdge draws an edge: a third of all follows are of some few.
func benchEdge(r *rand.Rand) (me, target shard.UID) {
	me = shard.UID(r.IntN(benchUsers))
	if r.IntN(3) == 0 {
		return me, shard.UID(r.IntN(1 + r.IntN(1+r.IntN(5000))))
	}
	return me, shard.UID(r.IntN(benchUsers))
}

// benchGraph returns a single shard with benchFollows follows spread over three years.
func benchGraph(b *testing.B) *Graph {
	g := newCrowd(b, benchUsers)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range uint32(benchFollows) {
		me, target := benchEdge(r)
		g.Follow(me, target, 1_600_000_000+i*30)
	}
	return g
}

func BenchmarkFollow(b *testing.B) {
	g := benchGraph(b)
	r := rand.New(rand.NewPCG(2, 2))
	b.ReportAllocs()
	time := uint32(1_700_000_000)
	for b.Loop() {
		me, target := benchEdge(r)
		g.Follow(me, target, time)
		time++
	}
	stats := g.Stats()
	b.ReportMetric(float64(stats.Memory.Total())/float64(stats.Follows), "B/follow")
}

func BenchmarkUnfollow(b *testing.B) {
	g := benchGraph(b)
	r := rand.New(rand.NewPCG(2, 2))
	b.ReportAllocs()
	for b.Loop() {
		me := shard.UID(r.IntN(benchUsers))
		page := g.Page(Following, me, Position(1_600_000_000+r.Uint32N(90_000_000))<<32, 1, nil)
		if len(page) > 0 {
			g.Unfollow(me, page[0].UID)
		}
	}
}

func BenchmarkReads(b *testing.B) {
	g := benchGraph(b)
	r := rand.New(rand.NewPCG(2, 2))
	uids := make([]shard.UID, 1<<16)
	for i := range uids {
		uids[i] = shard.UID(r.IntN(benchUsers))
	}
	types := make([]FollowType, 100)
	edges := make([]Edge, 0, 500)
	for _, bench := range []struct {
		name string
		read func(i int)
	}{
		{"FollowTypes 1", func(i int) { g.FollowTypes(uids[i], uids[i:i+1], types[:1]) }},
		{"FollowTypes 100", func(i int) { g.FollowTypes(uids[i], uids[i:i+100], types) }},
		{"FollowTypes 100 of a celebrity", func(i int) { g.FollowTypes(0, uids[i:i+100], types) }},
		{"Counts", func(i int) { g.Counts(uids[i]) }},
		{"Page 500 followers", func(i int) { g.Page(Followers, shard.UID(i%100), Newest, 500, edges) }},
		{"Page 30 following", func(i int) { g.Page(Following, uids[i], Newest, 500, edges) }},
		{"Page mutual", func(i int) { g.Page(Mutual, uids[i], Newest, 500, edges) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bench.read(i % (len(uids) - 100))
			}
		})
	}
}

// BenchmarkStore stores the follows of 1 % of all users.
func BenchmarkStore(b *testing.B) {
	g := benchGraph(b)
	dump(b, g)
	r := rand.New(rand.NewPCG(2, 2))
	records, time := 0, uint32(1_700_000_000)
	for b.Loop() {
		b.StopTimer()
		for range benchUsers / 100 {
			me, target := benchEdge(r)
			g.Follow(me, target, time)
			time++
		}
		b.StartTimer()
		f := g.Freeze()
		f.Next(1<<30, func(key, value []byte) error { records++; return nil })
		f.Commit()
	}
	b.ReportMetric(float64(records)/float64(b.N), "records")
}

func BenchmarkLoad(b *testing.B) {
	g := benchGraph(b)
	records := sortedRecords(dump(b, g))
	for b.Loop() {
		if _, err := load(Options{}, records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(g.Stats().Follows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mfollows/s")
}

func BenchmarkChecksum(b *testing.B) {
	g := benchGraph(b)
	for b.Loop() {
		g.Checksum()
	}
}
