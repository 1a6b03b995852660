package names

import (
	"hash/maphash"
	"unsafe"
)

const (
	// Unknown is what LookupMany gives for an id that was never interned.
	Unknown = ^uint32(0)

	segmentCount = 256
	stageNames   = 64 // names that LookupMany takes through its stages together
)

// Table maps the user ids of one shard to numbers and back. See the package
// comment for who may call what at the same time.
type Table struct {
	seed     maphash.Seed
	names    arena
	segments [segmentCount]segment
}

// New returns an empty table.
func New() *Table { return &Table{seed: maphash.MakeSeed()} }

// Len returns how many names the table has; their numbers are below it.
func (t *Table) Len() int { return int(t.names.count) }

// ID returns the n-th name, or nil when there is none. The bytes belong to the
// table and never change.
func (t *Table) ID(n uint32) []byte {
	if n >= t.names.count {
		return nil
	}
	return t.names.get(n)
}

// Lookup returns the number of an id.
func (t *Table) Lookup(id []byte) (n uint32, ok bool) {
	return t.find(maphash.Bytes(t.seed, id), id)
}

// Intern returns the number of an id and gives it the next one if it has none
// yet; added says so. It returns Unknown and false when the id is empty or longer
// than MaxIDBytes, or the table is full (32 GiB of names).
func (t *Table) Intern(id []byte) (n uint32, added bool) {
	return t.intern(maphash.Bytes(t.seed, id), id)
}

func (t *Table) intern(h uint64, id []byte) (n uint32, added bool) {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return Unknown, false
	}
	if n, ok := t.find(h, id); ok {
		return n, false
	}
	n = t.names.count
	if n == Unknown || !t.names.add(id) {
		return Unknown, false
	}
	t.segment(h).add(slotHash(h), n)
	return n, true
}

func (t *Table) segment(h uint64) *segment { return &t.segments[h>>56] }

func (t *Table) find(h uint64, id []byte) (n uint32, ok bool) {
	s, sh := t.segment(h), slotHash(h)
	n, after, ok := s.next(sh, s.home(sh))
	for ok && string(t.names.get(n)) != string(id) {
		n, after, ok = s.next(sh, after)
	}
	return n, ok
}

// LookupMany puts the number of each id, or Unknown, into ns, which must be as
// long as ids. It takes the ids through each stage together, so that the cache
// misses of a batch overlap: hashes, slots, blocks, names.
func (t *Table) LookupMany(ids [][]byte, ns []uint32) {
	ns = ns[:len(ids)]
	for len(ids) > 0 {
		stage := min(len(ids), stageNames)
		t.lookupStage(ids[:stage], ns[:stage])
		ids, ns = ids[stage:], ns[stage:]
	}
}

func (t *Table) lookupStage(ids [][]byte, ns []uint32) {
	var hashes [stageNames]uint64
	for i, id := range ids {
		hashes[i] = maphash.Bytes(t.seed, id)
	}
	t.findStage(&hashes, ids, ns)
}

// findStage looks ids up whose hashes are known. The first slot usually is the
// right one; candidates are the names it leads to. A wrong guess costs a look-up
// in the normal way.
func (t *Table) findStage(hashes *[stageNames]uint64, ids [][]byte, ns []uint32) {
	var slots [stageNames]uint64
	for i := range ids {
		if s := t.segment(hashes[i]); len(s.slots) > 0 {
			slots[i] = s.slots[s.home(slotHash(hashes[i]))]
		}
	}
	var candidates [stageNames][]byte
	for i := range ids {
		ns[i] = Unknown
		if n := uint32(slots[i]) - 1; slots[i] != 0 && uint32(slots[i]>>32) == slotHash(hashes[i]) {
			ns[i], candidates[i] = n, t.names.get(n)
		}
	}
	for i, id := range ids {
		if slots[i] == 0 || ns[i] != Unknown && string(candidates[i]) == string(id) {
			continue
		}
		ns[i] = Unknown
		if n, ok := t.find(hashes[i], id); ok {
			ns[i] = n
		}
	}
}

// MemoryBytes returns what the table occupies, names included.
func (t *Table) MemoryBytes() int {
	total := int(unsafe.Sizeof(*t)) + t.names.memoryBytes()
	for i := range t.segments {
		total += 8 * cap(t.segments[i].slots)
	}
	return total
}
