package raftfsm

import "github.com/hashicorp/raft"

// ring keeps a group's newest entries in memory, for followers that are nearly
// caught up. Its entries have consecutive indexes. The data is shared with raft,
// which never changes it.
type ring struct {
	maxEntries int
	maxBytes   int

	entries []raft.Log // circular, allocated at the first push
	start   int        // of the oldest
	count   int
	bytes   int
}

func (r *ring) at(i int) *raft.Log { return &r.entries[(r.start+i)%len(r.entries)] }

// get copies the entry of that index into l.
func (r *ring) get(index uint64, l *raft.Log) bool {
	if r.count == 0 {
		return false
	}
	first := r.at(0).Index
	if index < first || index >= first+uint64(r.count) {
		return false
	}
	*l = *r.at(int(index - first))
	return true
}

// push adds the newest entry and drops the oldest until the limits hold.
func (r *ring) push(l *raft.Log) {
	if r.maxEntries <= 0 {
		return
	}
	if r.entries == nil {
		r.entries = make([]raft.Log, r.maxEntries)
	}
	if r.count > 0 && l.Index != r.at(r.count-1).Index+1 {
		r.clear()
	}
	size := logValueBytes(l)
	for r.count > 0 && (r.count == len(r.entries) || r.bytes+size > r.maxBytes) {
		r.dropOldest()
	}
	if size > r.maxBytes {
		return
	}
	*r.at(r.count) = *l
	r.count++
	r.bytes += size
}

func (r *ring) dropOldest() {
	l := r.at(0)
	r.bytes -= logValueBytes(l)
	*l = raft.Log{}
	r.start = (r.start + 1) % len(r.entries)
	r.count--
}

func (r *ring) dropNewest() {
	l := r.at(r.count - 1)
	r.bytes -= logValueBytes(l)
	*l = raft.Log{}
	r.count--
}

func (r *ring) clear() {
	for r.count > 0 {
		r.dropNewest()
	}
}

// delete drops the entries from low to high, which is a prefix or a suffix of
// the log; anything else empties the ring.
func (r *ring) delete(low, high uint64) {
	for r.count > 0 && low <= r.at(0).Index && r.at(0).Index <= high {
		r.dropOldest()
	}
	for r.count > 0 && low <= r.at(r.count-1).Index && r.at(r.count-1).Index <= high {
		r.dropNewest()
	}
}
