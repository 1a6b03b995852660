package neighbors

import "slices"

// store keeps blocks in slab slots. A slot may have prefix words in front of its
// block; they move with it. Its scratch makes it a writer's: reads use only at.
type store struct {
	slab     slab
	blockMax int // members
	scratch  [maxBlock + 1]Key
	joined   [maxBlock + 1]Key // both halves of a merge
	stored   [maxBlockWords]uint64
	again    [maxBlockWords]uint64 // stored, packed anew
}

// at is the block in the slot behind its prefix words.
func (s *store) at(ref uint32, prefix int) block { return block(s.slab.slot(ref)[prefix:]) }

// create packs at least one key into a new slot; its prefix words are zero.
func (s *store) create(keys []Key, prefix int) uint32 {
	sh := shapeOf(keys)
	ref, w := s.slab.alloc(prefix + sh.words())
	clear(w[:prefix])
	sh.pack(w[prefix:], keys, sh.capacity(len(w)-prefix))
	return ref
}

// repack replaces a block's keys, in another slot if another size fits better.
func (s *store) repack(ref uint32, prefix int, keys []Key) uint32 {
	sh := shapeOf(keys)
	words := prefix + sh.words()
	if classOf[words] == s.slab.classAt(ref) {
		w := s.slab.slot(ref)
		sh.pack(w[prefix:], keys, sh.capacity(len(w)-prefix))
		return ref
	}
	to, w := s.slab.alloc(words)
	copy(w[:prefix], s.slab.slot(ref))
	sh.pack(w[prefix:], keys, sh.capacity(len(w)-prefix))
	s.slab.release(ref)
	return to
}

// insert adds k, which is not a member, at rank to a block with room.
func (s *store) insert(ref uint32, prefix, rank int, k Key) uint32 {
	b := s.at(ref, prefix)
	if b.insert(rank, k) {
		return ref
	}
	return s.repack(ref, prefix, s.with(b, rank, k))
}

// with gives the keys of a block and k at rank, in scratch.
func (s *store) with(b block, rank int, k Key) []Key {
	v := b.view()
	keys := s.scratch[:v.n+1]
	v.keys(0, rank, keys, 0, 1)
	keys[rank] = k
	v.keys(rank, v.n, keys, rank+1, 1)
	return keys
}

// without gives the keys of a block but that at rank, in scratch.
func (s *store) without(b block, rank int) []Key {
	v := b.view()
	keys := s.scratch[:v.n]
	v.keys(0, v.n, keys, 0, 1)
	return slices.Delete(keys, rank, rank+1)
}

// remove takes the member at rank out of a block that has more than one. A slot
// is given up for a smaller one only when that is two classes smaller, so that a
// member that comes and goes costs no packing.
func (s *store) remove(ref uint32, prefix, rank int) uint32 {
	b := s.at(ref, prefix)
	b.remove(rank)
	if classOf[prefix+b.wordsInUse()]+2 > s.slab.classAt(ref) {
		return ref
	}
	v := b.view()
	keys := s.scratch[:v.n]
	v.keys(0, v.n, keys, 0, 1)
	return s.repack(ref, prefix, keys)
}
