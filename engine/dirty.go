package engine

import (
	"slices"

	"github.com/kithgraph/kith/engine/internal/neighbors"
)

// listOwner numbers the lists of a shard: the user's number and the direction.
func listOwner(n uint32, d direction) uint32 { return n<<1 | uint32(d) }

// chunkID names a chunk of a list. The order of chunks is that of their records:
// by owner, then by separator.
type chunkID struct {
	owner uint32
	sep   neighbors.Key
}

func (c chunkID) before(other chunkID) bool {
	return c.owner < other.owner || c.owner == other.owner && c.sep < other.sep
}

// dirtySet is a set of chunks. Most lists have one chunk, whose separator is 0:
// a bit each. The further chunks of large lists are in maps.
type dirtySet struct {
	firsts  bitset // owners whose first chunk is in the set
	others  bitset // owners with further chunks in the set
	further map[uint32]map[neighbors.Key]struct{}
	count   int // of further chunks
}

func newDirtySet() *dirtySet {
	return &dirtySet{further: map[uint32]map[neighbors.Key]struct{}{}}
}

func (d *dirtySet) has(id chunkID) bool {
	if id.sep == 0 {
		return d.firsts.has(id.owner)
	}
	_, ok := d.further[id.owner][id.sep]
	return ok
}

func (d *dirtySet) add(id chunkID) {
	if id.sep == 0 {
		d.firsts.add(id.owner)
		return
	}
	seps := d.further[id.owner]
	if seps == nil {
		seps = map[neighbors.Key]struct{}{}
		d.further[id.owner] = seps
		d.others.add(id.owner)
	}
	if _, ok := seps[id.sep]; !ok {
		seps[id.sep] = struct{}{}
		d.count++
	}
}

// merge adds the chunks of other.
func (d *dirtySet) merge(other *dirtySet) {
	d.firsts.merge(&other.firsts)
	for owner, seps := range other.further {
		for sep := range seps {
			d.add(chunkID{owner, sep})
		}
	}
}

// nextOwner returns the first owner at or above the given one with a chunk in the set.
func (d *dirtySet) nextOwner(owner uint32) (next uint32, ok bool) {
	a, okA := d.firsts.next(owner)
	b, okB := d.others.next(owner)
	switch {
	case okA && okB:
		return min(a, b), true
	case okA:
		return a, true
	default:
		return b, okB
	}
}

// separators appends those of an owner's chunks in the set, ascending.
func (d *dirtySet) separators(owner uint32, dst []neighbors.Key) []neighbors.Key {
	start := len(dst)
	if d.firsts.has(owner) {
		dst = append(dst, 0)
	}
	for sep := range d.further[owner] {
		dst = append(dst, sep)
	}
	slices.Sort(dst[start:])
	return dst
}

// furtherBytes is a rough share of a map's memory for each further chunk.
const furtherBytes = 24

func (d *dirtySet) memoryBytes() int {
	return d.firsts.memoryBytes() + d.others.memoryBytes() + d.count*furtherBytes
}

// dirtyCursor walks a set that no longer changes, in order.
type dirtyCursor struct {
	set   *dirtySet
	owner uint32
	seps  []neighbors.Key // of owner, not yet passed
	from  uint32          // where to look for the next owner
	done  bool
}

// peek returns the chunk at the cursor; ok is false behind the last one.
func (c *dirtyCursor) peek() (id chunkID, ok bool) {
	if len(c.seps) == 0 && !c.done {
		owner, ok := c.set.nextOwner(c.from)
		if !ok {
			c.done = true
			return chunkID{}, false
		}
		c.owner, c.from = owner, owner+1
		c.done = c.from == 0
		c.seps = c.set.separators(owner, c.seps)
	}
	if len(c.seps) == 0 {
		return chunkID{}, false
	}
	return chunkID{c.owner, c.seps[0]}, true
}

func (c *dirtyCursor) advance() {
	c.seps = c.seps[1:]
}

// passed reports whether the cursor is behind a chunk.
func (c *dirtyCursor) passed(id chunkID) bool {
	if len(c.seps) > 0 {
		return id.before(chunkID{c.owner, c.seps[0]})
	}
	return c.done || id.owner < c.from
}

// touch is what the pool calls before it changes, creates or removes a chunk.
func (g *Graph) touch(owner uint32, sep neighbors.Key) {
	id := chunkID{owner, sep}
	if g.frozen != nil {
		g.frozen.save(id)
	}
	g.dirty.add(id)
}
