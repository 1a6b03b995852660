package neighbors

import "slices"

// sequence is a list's order or index in several blocks: block i holds the keys
// from its separator up to the next one. The first separator is 0. Blocks are
// never empty.
type sequence struct{ parts []part }

type part struct {
	sep Key
	ref uint32
}

// toucher announces a change of a chunk of one list; the zero value is silent.
type toucher struct {
	hook  func(owner uint32, sep Key)
	owner uint32
}

func (t toucher) touch(sep Key) {
	if t.hook != nil {
		t.hook(t.owner, sep)
	}
}

// find gives the part that covers k.
func (q *sequence) find(k Key) int {
	lo, hi := 1, len(q.parts) // the first part covers what no other does
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if q.parts[mid].sep <= k {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

func (q *sequence) at(s *store, i int) block { return s.at(q.parts[i].ref, 0) }

func (q *sequence) contains(s *store, k Key) bool {
	v := q.at(s, q.find(k)).view()
	_, found := v.search(k)
	return found
}

// insert adds k, which is not a member. It touches all that it changes before it
// changes anything.
func (q *sequence) insert(s *store, k Key, t toucher) {
	i := q.find(k)
	v := q.at(s, i).view()
	rank, _ := v.search(k)
	t.touch(q.parts[i].sep)
	if v.n < s.blockMax {
		q.parts[i].ref = s.insert(q.parts[i].ref, 0, rank, k)
		return
	}
	keys := s.with(block(v.w), rank, k)
	cut := len(keys) / 2
	if i == len(q.parts)-1 && rank == v.n {
		// Appends fill blocks to 7/8; what is left is for keys slightly out of order.
		cut = len(keys) - max(1, v.n/8)
	}
	sep := keys[cut]
	t.touch(sep)
	q.parts[i].ref = s.repack(q.parts[i].ref, 0, keys[:cut])
	q.parts = slices.Insert(q.parts, i+1, part{sep, s.create(keys[cut:], 0)})
}

// remove takes k out; false: not a member. The sequence has at least two members.
func (q *sequence) remove(s *store, k Key, t toucher) bool {
	i := q.find(k)
	v := q.at(s, i).view()
	rank, found := v.search(k)
	if !found {
		return false
	}
	t.touch(q.parts[i].sep)
	switch j := q.mergeable(s, i, v.n-1); {
	case v.n == 1 && i > 0:
		s.slab.release(q.parts[i].ref)
		q.parts = slices.Delete(q.parts, i, i+1)
	case j >= 0:
		q.merge(s, i, j, s.without(block(v.w), rank), t)
	default:
		q.parts[i].ref = s.remove(q.parts[i].ref, 0, rank)
	}
	return true
}

// mergeable gives the neighbour that part i, about to have n members, is to be
// merged with, or -1: a quarter of a block joins a neighbour if together they
// leave a quarter free.
func (q *sequence) mergeable(s *store, i, n int) int {
	if n >= s.blockMax/4 && n > 0 {
		return -1
	}
	room := s.blockMax - s.blockMax/4 - n
	if i > 0 && q.at(s, i-1).len() <= room {
		return i - 1
	}
	if i+1 < len(q.parts) && (n == 0 || q.at(s, i+1).len() <= room) {
		return i + 1
	}
	return -1
}

// merge joins part i, whose keys are to be those given, and its neighbour j under
// the lower separator.
func (q *sequence) merge(s *store, i, j int, keys []Key, t toucher) {
	t.touch(q.parts[j].sep)
	v := q.at(s, j).view()
	all := s.joined[:v.n+len(keys)]
	left, right := i, j
	if j < i {
		left, right = j, i
		copy(all[v.n:], keys)
		v.keys(0, v.n, all, 0, 1)
	} else {
		copy(all, keys)
		v.keys(0, v.n, all, len(keys), 1)
	}
	q.parts[left].ref = s.repack(q.parts[left].ref, 0, all)
	s.slab.release(q.parts[right].ref)
	q.parts = slices.Delete(q.parts, right, right+1)
}

// drop releases all blocks.
func (q *sequence) drop(s *store) {
	for _, pt := range q.parts {
		s.slab.release(pt.ref)
	}
	q.parts = nil
}

// appendKeys appends all keys in ascending order.
func (q *sequence) appendKeys(s *store, dst []Key) []Key {
	for i := range q.parts {
		dst = appendKeys(q.at(s, i), dst)
	}
	return dst
}

func appendKeys(b block, dst []Key) []Key {
	v := b.view()
	at := len(dst)
	dst = slices.Grow(dst, v.n)[:at+v.n]
	v.keys(0, v.n, dst, at, 1)
	return dst
}

// fill makes a new sequence of ascending keys, its blocks three quarters full.
func (q *sequence) fill(s *store, keys []Key) {
	size := max(1, s.blockMax-s.blockMax/4)
	for at := 0; at < len(keys); at += size {
		sep := keys[at]
		if at == 0 {
			sep = 0
		}
		q.parts = append(q.parts, part{sep, s.create(keys[at:min(at+size, len(keys))], 0)})
	}
}
