package server

import (
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/kithgraph/kith/internal/failpoint"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
)

// batcher turns the commands that arrive for one shard into log entries. While
// entries are on their way, everything that arrives waits and becomes the next
// entry, so batches grow by themselves with the load and a lone command is never
// held back.
//
// Two goroutines serve it: one cuts entries and proposes them, the other waits
// for their outcomes, in order. submit, trim and lead are safe for concurrent
// use and never block.
type batcher struct {
	batcherOptions
	wake     chan struct{} // room for one token: look at mu again
	stop     chan struct{} // closed by close
	slots    chan struct{} // one element for each entry in flight
	inFlight chan *cutEntry
	cutting  sync.WaitGroup
	ending   sync.WaitGroup
	stamp    uint32 // of the newest entry; the cutter's own

	mu struct {
		sync.Mutex
		ready  bool
		closed bool
		queue  proposalQueue
		trims  trimQueue
		// unsure is set when an entry had an unknown outcome: it may yet be
		// applied, and the next entry to be applied says that this is settled.
		unsure bool
		// maintain is set when trims have waited long enough to get their own entry.
		maintain bool
		// lost are proposals that were queued when leadership was lost or the
		// node closed; the cutter fails them with lostErr.
		lost    []*proposal
		lostErr error
	}
}

type batcherOptions struct {
	shard     shard.ID
	shards    int
	group     shardGroup
	now       func() time.Time
	logger    *slog.Logger
	limits    *Limits
	trimDelay time.Duration // how long an idle shard keeps an untrimmed outbox
	// applied is called after each entry that may have changed the outbox.
	applied func()
}

// maxExemptPerShard bounds the exempt proposals by the number of source shards:
// one each, and as many again that their courier has given up and sent anew.
const maxExemptPerShard = 4

func newBatcher(options batcherOptions) *batcher {
	b := &batcher{
		batcherOptions: options,
		wake:           make(chan struct{}, 1),
		stop:           make(chan struct{}),
		slots:          make(chan struct{}, options.limits.EntriesInFlight),
		inFlight:       make(chan *cutEntry, options.limits.EntriesInFlight),
	}
	b.mu.trims.applied = make([]uint64, options.shards)
	b.cutting.Go(b.cutEntries)
	b.ending.Go(b.endEntries)
	return b
}

// submit queues a proposal, or says why not, in which case its done is never
// called.
func (b *batcher) submit(p *proposal) error {
	p.sizeBytes = p.command.EncodedBytes()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.mu.closed:
		return errClosing
	case !b.mu.ready:
		return errShardNotReady
	case p.exempt && b.mu.queue.exempt >= maxExemptPerShard*b.shards:
		return errQueueFull
	case !p.exempt && (b.mu.queue.len() >= b.limits.QueueCommands || b.mu.queue.sizeBytes+p.sizeBytes > b.limits.QueueBytes):
		return errQueueFull
	}
	b.mu.queue.push(p)
	if b.mu.queue.len() == 1 {
		b.signal() // a longer queue is known to the cutter already
	}
	return nil
}

// trim lets the shard forget its outbox for a destination up to a number. It
// rides in the next entry, or gets its own when none comes soon.
func (b *batcher) trim(to shard.ID, applied uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.ready || b.mu.closed {
		return // the next leader reads the destination's mark from its first answer
	}
	b.mu.trims.set(int(to), applied)
	b.signal()
}

// lead says whether this node leads the shard from now on. What is queued when
// leadership ends was never proposed and is refused.
func (b *batcher) lead(ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.ready = ready
	if !ready {
		b.dropQueue(errShardNotReady)
	}
}

// dropQueue hands everything queued to the cutter to be failed. The caller
// holds the lock.
func (b *batcher) dropQueue(err error) {
	b.mu.lost = append(b.mu.lost, b.mu.queue.takeAll()...)
	b.mu.lostErr = err
	b.mu.trims.clear()
	b.mu.unsure, b.mu.maintain = false, false
	b.signal()
}

// close refuses what is queued and stops the cutter. Entries in flight still end
// as Raft decides; wait waits for them.
func (b *batcher) close() {
	b.mu.Lock()
	if !b.mu.closed {
		b.mu.closed = true
		b.dropQueue(errClosing)
		close(b.stop)
	}
	b.mu.Unlock()
	b.cutting.Wait()
}

// wait returns when no entry is in flight any more. It must follow close.
func (b *batcher) wait() { b.ending.Wait() }

// status returns how many commands are queued and how many entries are in flight.
func (b *batcher) status() (queued, inFlight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.queue.len(), len(b.slots)
}

func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// cutEntries is the cutter's goroutine.
func (b *batcher) cutEntries() {
	defer close(b.inFlight)
	timer := time.NewTimer(b.trimDelay)
	timer.Stop()
	armed := false
	for {
		select {
		case <-b.wake:
		case <-timer.C:
			armed = false
			b.maintenanceIsDue()
		case <-b.stop:
			b.failLost()
			return
		}
		b.failLost()
		b.cutAll()
		if !armed && b.needsMaintenance() {
			armed = true
			timer.Reset(b.trimDelay)
		}
	}
}

// cutAll cuts entries until nothing waits. An entry is cut as late as can be,
// when there is room for it in flight, so that it takes all that came meanwhile.
func (b *batcher) cutAll() {
	for b.hasWork() {
		select {
		case b.slots <- struct{}{}:
			if e := b.cut(); e != nil {
				b.propose(e)
			} else {
				<-b.slots
			}
		case <-b.wake:
			b.failLost()
		case <-b.stop:
			return
		}
	}
}

func (b *batcher) hasWork() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.ready && (b.mu.queue.len() > 0 || b.mu.maintain)
}

func (b *batcher) needsMaintenance() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.ready && (b.mu.trims.waiting > 0 || b.mu.unsure)
}

func (b *batcher) maintenanceIsDue() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.maintain = b.mu.trims.waiting > 0 || b.mu.unsure
}

func (b *batcher) failLost() {
	b.mu.Lock()
	lost, err := b.mu.lost, b.mu.lostErr
	b.mu.lost = nil
	b.mu.Unlock()
	for _, p := range lost {
		p.done(nil, err)
	}
}

// propose stamps and encodes an entry and hands it to Raft.
func (b *batcher) propose(e *cutEntry) {
	for _, p := range e.abandoned {
		p.done(nil, errAbandoned)
	}
	if e.isEmpty() {
		<-b.slots
		return
	}
	failpoint.Hit("server/batch-cut")
	if len(e.trims) > 0 {
		failpoint.Hit("server/trim-proposed")
	}
	b.stamp = max(b.stamp, entryTime(b.now()))
	e.future = b.group.Apply(e.encode(b.stamp))
	b.inFlight <- e // has room for as many as there are slots
}

// entryTime is a follow time: seconds since 1970, never 0, which would mean
// "the entry's own time" to who reads the entry. The cutter keeps stamps from
// falling when the clock is set back, so that lists keep the order of commits
// as long as the leader stays; a new leader starts with its own clock.
func entryTime(now time.Time) uint32 {
	return uint32(min(max(now.Unix(), 1), math.MaxUint32))
}

// endEntries is the goroutine that waits for outcomes. Raft decides entries in
// the order of their proposal, so waiting for the oldest holds back nothing.
func (b *batcher) endEntries() {
	for e := range b.inFlight {
		result, err := e.future.Wait()
		<-b.slots
		b.end(e, result, err)
	}
}

func (b *batcher) end(e *cutEntry, result *raftfsm.EntryResult, err error) {
	if err == nil && result.Err != nil {
		b.logger.Error("the state machine did not apply an entry", "shard", b.shard, "index", result.Index, "error", result.Err)
		err = result.Err
	}
	if err != nil {
		b.keepTrims(e, err)
		e.fail(err)
		return
	}
	e.succeed(result)
	b.applied()
}

// keepTrims puts the trims of a failed entry back. Unless the entry was refused
// for sure it may yet be applied, unseen; the next entry that is seen to be
// applied comes after it in the log, so one is asked for.
func (b *batcher) keepTrims(e *cutEntry, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.ready || b.mu.closed {
		return
	}
	for _, t := range e.trims {
		b.mu.trims.set(int(t.to), t.applied)
	}
	b.mu.unsure = b.mu.unsure || !wasRefused(err)
	b.signal()
}
