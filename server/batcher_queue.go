package server

import (
	"sync/atomic"

	"github.com/kithgraph/kith/raftfsm"
)

// proposal is one command on its way into the log.
type proposal struct {
	command raftfsm.Command
	// done gets the command's own result, or why there is none. It is called
	// once, on a goroutine of the batcher, and must not block. It is not called
	// when submit refuses the proposal.
	done func(*raftfsm.Result, error)
	// exempt proposals are deliveries from other shards. They ignore the bounds for
	// clients, so that a full queue does not hold back what others wait for, and
	// have a bound of their own.
	exempt bool
	// abandoned tells that nobody needs the command any more. It is then left
	// out of the log if it is not on its way yet.
	abandoned atomic.Bool

	sizeBytes int
}

// proposalQueue is a first-in-first-out queue that knows its size in bytes.
type proposalQueue struct {
	items     []*proposal
	head      int
	sizeBytes int
	exempt    int
}

func (q *proposalQueue) len() int { return len(q.items) - q.head }

func (q *proposalQueue) push(p *proposal) {
	if q.head > 64 && q.head > len(q.items)/2 {
		kept := copy(q.items, q.items[q.head:])
		clear(q.items[kept:])
		q.items, q.head = q.items[:kept], 0
	}
	q.items = append(q.items, p)
	q.count(p, 1)
}

func (q *proposalQueue) count(p *proposal, sign int) {
	q.sizeBytes += sign * p.sizeBytes
	if p.exempt {
		q.exempt += sign
	}
}

func (q *proposalQueue) front() *proposal { return q.items[q.head] }

func (q *proposalQueue) pop() *proposal {
	p := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	q.count(p, -1)
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return p
}

// takeAll empties the queue.
func (q *proposalQueue) takeAll() []*proposal {
	all := q.items[q.head:]
	*q = proposalQueue{}
	return all
}

// trimQueue holds, for each destination, up to which number the outbox may be
// forgotten. Zero means that there is nothing to tell.
type trimQueue struct {
	applied []uint64
	waiting int // destinations with a number
}

func (q *trimQueue) set(to int, applied uint64) {
	if q.applied[to] == 0 && applied > 0 {
		q.waiting++
	}
	q.applied[to] = max(q.applied[to], applied)
}

func (q *trimQueue) clear() {
	clear(q.applied)
	q.waiting = 0
}
