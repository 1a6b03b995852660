package graphgen

import (
	"errors"
	"math"
	"math/rand/v2"
)

const (
	maxFollowing    = 5000 // the following limit of a cluster that was not told otherwise
	communityUsers  = 150  // at least; ten times the average number of follows where that is more
	communityShare  = 0.5
	returnedShare   = 0.2  // of the follows within a community
	repeatedShare   = 0.08 // of all lines, about
	degreeSigma     = 1.1  // of the logarithm of the number of follows
	popularityPower = 0.8
	popularityShift = 10 // keeps the most popular few from being followed by everybody
	// firstFollow and lastFollow bound the follow times: the years 2021 to 2025.
	firstFollow = 1609459200
	lastFollow  = 1767225599
)

// ErrOptions is returned for a graph that cannot be.
var ErrOptions = errors.New("a graph needs 10 users at least, and no more follows than 1,000 or a tenth of its users for each of them")

// Options describe a graph.
type Options struct {
	Users   int    // at least 10
	Follows int    // about as many distinct follows come out, within a tenth or so
	Seed    uint64 // another seed, another graph
}

// Validate returns ErrOptions if there is no such graph.
func (o Options) Validate() error {
	if o.Users < 10 || o.Users > math.MaxInt32 || o.Follows < 0 || o.Follows/o.Users > min(1000, o.Users/10) {
		return ErrOptions
	}
	return nil
}

// Edge is one follow, by the numbers of the users.
type Edge struct {
	Follower, Followee int
	Time               uint32 // seconds since 1970 UTC
}

// Generate calls emit with every follow, until emit returns an error, which it
// then returns.
func Generate(o Options, emit func(Edge) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	g := generator{Options: o, emit: emit, rng: rand.New(rand.NewPCG(o.Seed, 0x6b697468))}
	step := coprimeStep(o.Users)
	for i, user := 0, 0; i < o.Users; i++ {
		if err := g.user(user); err != nil {
			return err
		}
		user = (user + step) % o.Users
	}
	return nil
}

type generator struct {
	Options
	emit func(Edge) error
	rng  *rand.Rand
}

// user emits the follows that start at one user, and those that return them.
func (g *generator) user(me int) error {
	for celebrity, share := range []float64{0.30, 0.15} {
		if g.rng.Float64() < share {
			if err := g.follow(me, celebrity, 0); err != nil {
				return err
			}
		}
	}
	for range g.outDegree() {
		var err error
		if g.rng.Float64() < communityShare {
			err = g.follow(me, g.neighbour(me), returnedShare)
		} else {
			err = g.follow(me, g.popular(), 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow emits one follow, and with the given probability its return.
func (g *generator) follow(me, other int, returned float64) error {
	if me == other {
		return nil
	}
	if err := g.emit(Edge{me, other, g.time(me, other)}); err != nil {
		return err
	}
	if g.rng.Float64() >= returned {
		return nil
	}
	return g.emit(Edge{other, me, g.time(other, me)})
}

// time is the same for every line with the same two users, so that it does not
// matter which of them is imported first.
func (g *generator) time(me, other int) uint32 {
	pair := hash(hash(g.Seed^uint64(me)) ^ uint64(other))
	return firstFollow + uint32(pair%(lastFollow-firstFollow+1))
}

// outDegree draws how many follows start at a user, besides those of celebrities
// and those that return others'.
func (g *generator) outDegree() int {
	mean := float64(g.Follows)/float64(g.Users) - 0.45
	mean /= (1 + communityShare*returnedShare) * (1 - repeatedShare)
	if mean <= 0 {
		return 0
	}
	drawn := math.Exp(math.Log(mean) - degreeSigma*degreeSigma/2 + degreeSigma*g.rng.NormFloat64())
	whole, part := math.Modf(min(drawn, maxFollowing/2, float64(g.Users)/4))
	if g.rng.Float64() < part {
		whole++
	}
	return int(whole)
}

// neighbour draws a user of the same community: those whose numbers are the same
// modulo the number of communities.
func (g *generator) neighbour(me int) int {
	communities := max(1, g.Users/max(communityUsers, 10*g.Follows/g.Users))
	own := me % communities
	members := (g.Users-own-1)/communities + 1
	return own + communities*g.rng.IntN(members)
}

// popular draws any user, the lower numbers more often: number i with a weight of
// (i + popularityShift) to the power of -popularityPower, by inverting its integral.
func (g *generator) popular() int {
	const power = 1 - popularityPower
	low := math.Pow(popularityShift, power)
	high := math.Pow(float64(g.Users)+popularityShift, power)
	drawn := math.Pow(low+g.rng.Float64()*(high-low), 1/power) - popularityShift
	return min(max(int(drawn), 0), g.Users-1)
}

// coprimeStep returns a step that visits all n users, in an order that says
// nothing about their popularity.
func coprimeStep(n int) int {
	for step := int(float64(n)*0.618) | 1; ; step++ {
		if gcd(step, n) == 1 {
			return step
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
