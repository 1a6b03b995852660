package server

import (
	"sync"

	"github.com/kithgraph/kith/shard"
)

// waiters holds the committed writes of one source shard that wait until their
// changes are applied in other shards. Each pair of shards has a list in the
// order of the outbox numbers, so that an acknowledgement resolves a prefix.
//
// Safe for concurrent use. Callbacks run without the lock.
type waiters struct {
	limit int
	mu    struct {
		sync.Mutex
		leading bool
		count   int
		streams []waiterList // by destination
	}
}

type waiterList struct {
	list[wait]
	acknowledged uint64 // applied in the destination, as far as known here
}

// wait is a write's for one outbox number of one stream.
type wait struct {
	op       *edgeOp
	to       shard.ID
	sequence uint64
}

// waiter is part of its write, which may have one for each shard.
type waiter = node[wait]

// admission is the answer to a new waiter.
type admission uint8

const (
	admitted admission = iota // its write will be called back
	visible                   // already applied on the other side
	refused                   // full, not leading, or the write has ended: the change is pending
)

func newWaiters(shards, limit int) *waiters {
	ws := &waiters{limit: limit}
	ws.mu.streams = make([]waiterList, shards)
	return ws
}

// lead says whether this node leads the shard from now on. Losing leadership
// leaves the list as it is, for flush.
func (ws *waiters) lead(leading bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.mu.leading = leading
}

func (ws *waiters) add(w *waiter) admission {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	stream := &ws.mu.streams[w.value.to]
	switch {
	case w.state == nodeNew && stream.acknowledged >= w.value.sequence:
		stream.remove(w)
		return visible
	case !ws.mu.leading || ws.mu.count >= ws.limit || !stream.push(w):
		return refused
	}
	ws.mu.count++
	return admitted
}

// remove takes a waiter out, or keeps it from ever getting in.
func (ws *waiters) remove(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.unlink(w)
}

// unlink is remove for a caller who holds the lock.
func (ws *waiters) unlink(w *waiter) {
	if ws.mu.streams[w.value.to].remove(w) {
		ws.mu.count--
	}
}

// acknowledge tells that a destination has applied everything up to a number.
// The mark of a stream never falls: what was applied stays applied.
func (ws *waiters) acknowledge(to shard.ID, applied uint64) {
	for _, op := range ws.resolved(to, applied) {
		op.becameVisible()
	}
}

func (ws *waiters) resolved(to shard.ID, applied uint64) (ops []*edgeOp) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	stream := &ws.mu.streams[to]
	stream.acknowledged = max(stream.acknowledged, applied)
	for w := stream.head; w != nil && w.value.sequence <= stream.acknowledged; w = stream.head {
		ws.unlink(w)
		ops = append(ops, w.value.op)
	}
	return ops
}

// flush ends the wait of everything in the lists: the writes are committed, and
// some later leader's courier will deliver them.
func (ws *waiters) flush() {
	ws.mu.Lock()
	var ops []*edgeOp
	for to := range ws.mu.streams {
		stream := &ws.mu.streams[to]
		for w := stream.head; w != nil; w = stream.head {
			ws.unlink(w)
			ops = append(ops, w.value.op)
		}
	}
	ws.mu.Unlock()
	for _, op := range ops {
		op.givePending()
	}
}

// waiting returns how many waits there are.
func (ws *waiters) waiting() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.mu.count
}
