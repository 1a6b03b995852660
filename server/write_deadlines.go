package server

import (
	"math"
	"sync"
	"time"
)

// deadlineTicks is how finely a deadline is kept: it passes at most one part in
// deadlineTicks late, never early.
const deadlineTicks = 8

// deadlines calls back for every write that is still there after a fixed time.
// As the time is the same for all, the list is in the order of arrival, and
// one timer, which runs only while the list is not empty, serves them all. It
// counts ticks of that timer instead of reading a clock.
type deadlines struct {
	tick    time.Duration
	expired func(*edgeOp) // called without the lock
	running sync.WaitGroup
	mu      struct {
		sync.Mutex
		now    uint64 // ticks of the timer so far
		list   list[dueOp]
		timer  *time.Timer
		armed  bool
		closed bool
	}
}

// dueOp is a write and the tick at which its time is over. A deadline is part of
// its write.
type dueOp struct {
	op  *edgeOp
	due uint64
}

type deadline = node[dueOp]

func newDeadlines(after time.Duration, expired func(*edgeOp)) *deadlines {
	return &deadlines{tick: max(after/deadlineTicks, time.Millisecond), expired: expired}
}

// add starts the time of a write, or says that there will be no callback, because
// remove or close came first.
func (d *deadlines) add(n *deadline) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed || !d.mu.list.push(n) {
		return false
	}
	n.value.due = d.mu.now + deadlineTicks + 1
	d.arm()
	return true
}

// arm starts the timer unless it runs. The caller holds the lock.
func (d *deadlines) arm() {
	if d.mu.armed {
		return
	}
	d.mu.armed = true
	d.running.Add(1)
	if d.mu.timer == nil {
		d.mu.timer = time.AfterFunc(d.tick, d.onTick)
	} else {
		d.mu.timer.Reset(d.tick)
	}
}

// remove ends the time of a write, also of one that was never added. It says
// whether the time was running, so that there is no callback.
func (d *deadlines) remove(n *deadline) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.list.remove(n)
}

func (d *deadlines) onTick() {
	defer d.running.Done()
	for _, op := range d.advance() {
		d.expired(op)
	}
}

// advance counts a tick and takes out what is due by it.
func (d *deadlines) advance() []*edgeOp {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.armed = false
	if d.mu.closed {
		return nil
	}
	d.mu.now++
	due := d.takeUntil(d.mu.now)
	if d.mu.list.head != nil {
		d.arm()
	}
	return due
}

// takeUntil takes out what is due at a tick. The caller holds the lock.
func (d *deadlines) takeUntil(tick uint64) (due []*edgeOp) {
	for n := d.mu.list.head; n != nil && n.value.due <= tick; n = d.mu.list.head {
		d.mu.list.remove(n)
		due = append(due, n.value.op)
	}
	return due
}

// close calls back for everything in the list as if its time were over, stops the
// timer, and waits for callbacks that are under way.
func (d *deadlines) close() {
	d.mu.Lock()
	d.mu.closed = true
	all := d.takeUntil(math.MaxUint64)
	if d.mu.armed && d.mu.timer.Stop() {
		d.mu.armed = false
		d.running.Done()
	}
	d.mu.Unlock()
	for _, op := range all {
		d.expired(op)
	}
	d.running.Wait()
}
