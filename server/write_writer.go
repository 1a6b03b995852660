package server

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kithgraph/kith/shard"
)

// writerOptions is what a writer is made of. Zero means the default.
type writerOptions struct {
	layout shard.Layout
	groups []shardGroup // one for each shard of the layout
	now    func() time.Time
	logger *slog.Logger
	// peers reaches the leaders of shards. Default: this node leads all.
	peers  peers
	limits Limits

	// trimDelay is how long a shard without writes keeps delivered changes.
	// Default 50 ms.
	trimDelay time.Duration
	// deliverWithin is how long a courier waits for an answer. Default 5 s.
	deliverWithin time.Duration
	// firstPause and longestPause bound how long a courier pauses after a failure.
	// Default 10 ms and 1 s.
	firstPause, longestPause time.Duration
}

func (o writerOptions) withDefaults() writerOptions {
	o.logger = cmp.Or(o.logger, slog.New(slog.DiscardHandler))
	o.limits = o.limits.withDefaults()
	o.trimDelay = cmp.Or(o.trimDelay, 50*time.Millisecond)
	o.deliverWithin = cmp.Or(o.deliverWithin, 5*time.Second)
	o.firstPause = cmp.Or(o.firstPause, 10*time.Millisecond)
	o.longestPause = cmp.Or(o.longestPause, time.Second)
	return o
}

// writer takes follows and unfollows from their request to their answer. It
// resolves and registers names, proposes the change in the shard of the user
// who follows, and waits until the other users' shards show it. A write has no
// goroutine: each step continues on the goroutine that ended the step before.
//
// All methods are safe for concurrent use. No lock of the write side is held
// while another one is taken, but for the graph's read lock, under which none is.
type writer struct {
	writerOptions
	shards    []shardWriter
	deadlines *deadlines // of writes that are not committed
	patiences *deadlines // of committed ones that wait to be visible
	resolvers sync.Pool  // of *resolver
	admitted  struct {
		sync.Mutex
		closed  bool
		writes  int
		drained chan struct{} // closed when closed and no write is left
	}
}

// shardWriter is the write side of one shard.
type shardWriter struct {
	group   shardGroup
	batcher *batcher
	waiters *waiters
	courier *courier
}

// shardWriteStatus is what an operator may know of the write side of a shard.
type shardWriteStatus struct {
	queued   int // commands that wait to be proposed
	inFlight int // log entries proposed and not decided
	waiting  int // waits of committed writes until another shard shows them
}

// newWriter starts the write side. Groups that are ready already are taken into
// service at once; for later changes the caller calls onLeader.
func newWriter(options writerOptions) *writer {
	options = options.withDefaults()
	w := &writer{
		writerOptions: options,
		shards:        make([]shardWriter, options.layout.Shards()),
		deadlines:     newDeadlines(options.limits.Commit, (*edgeOp).giveUp),
		patiences:     newDeadlines(options.limits.Visibility, (*edgeOp).givePending),
	}
	w.resolvers.New = func() any { return new(resolver) }
	w.admitted.drained = make(chan struct{})
	if w.peers == nil {
		w.peers = localPeers{w}
	}
	for s := range w.shards {
		w.startShard(shard.ID(s))
	}
	for s := range w.shards {
		if w.shards[s].group.Ready() {
			w.onLeader(shard.ID(s), true)
		}
	}
	return w
}

func (w *writer) startShard(s shard.ID) {
	sw := &w.shards[s]
	sw.group = w.groups[s]
	sw.waiters = newWaiters(len(w.shards), w.limits.WaitingWrites)
	sw.batcher = newBatcher(batcherOptions{
		shard: s, shards: len(w.shards), group: sw.group, now: w.now, logger: w.logger,
		limits: &w.limits, trimDelay: w.trimDelay,
		applied: func() { sw.courier.outboxChanged() },
	})
	sw.courier = newCourier(courierOptions{
		shard: s, shards: len(w.shards), group: sw.group, peers: w.peers, batcher: sw.batcher, waiters: sw.waiters,
		logger: w.logger, answerWithin: w.deliverWithin, firstPause: w.firstPause, longestPause: w.longestPause,
	})
}

// onLeader says that this node leads a shard, and has applied all that former
// leaders committed, or that it no longer does. It does not block.
func (w *writer) onLeader(s shard.ID, ready bool) {
	sw := &w.shards[s]
	if ready {
		sw.waiters.lead(true)
		sw.courier.lead(true)
		sw.batcher.lead(true)
		return
	}
	sw.batcher.lead(false)
	sw.waiters.lead(false)
	sw.courier.lead(false)
}

// status returns the numbers of one shard.
func (w *writer) status(s shard.ID) shardWriteStatus {
	sw := &w.shards[s]
	queued, inFlight := sw.batcher.status()
	return shardWriteStatus{queued, inFlight, sw.waiters.waiting()}
}

// admit counts a write in, unless the node is closing.
func (w *writer) admit() bool {
	w.admitted.Lock()
	defer w.admitted.Unlock()
	if w.admitted.closed {
		return false
	}
	w.admitted.writes++
	return true
}

// release counts a write out, after its answer.
func (w *writer) release() {
	w.admitted.Lock()
	defer w.admitted.Unlock()
	w.admitted.writes--
	w.drain()
}

// drain tells close when the last write is answered. The caller holds the lock.
func (w *writer) drain() {
	if w.admitted.closed && w.admitted.writes == 0 {
		close(w.admitted.drained)
	}
}

// close refuses new writes and waits until those accepted are answered. When ctx
// ends first the rest is answered at once: pending where committed, else
// unavailable where not proposed, else timeout. Then everything stops but the
// waiting for entries in flight, which only Raft can end: close the groups, then
// call wait. close must be called once.
func (w *writer) close(ctx context.Context) {
	w.admitted.Lock()
	w.admitted.closed = true
	w.drain()
	w.admitted.Unlock()
	select {
	case <-w.admitted.drained:
	case <-ctx.Done():
	}
	for s := range w.shards {
		w.shards[s].batcher.close()
	}
	for s := range w.shards {
		w.shards[s].courier.close()
	}
	w.deadlines.close() // first: what was committed in time may still get into patiences
	w.patiences.close()
}

// wait returns when the outcome of every entry is known. It must follow close.
func (w *writer) wait() {
	for s := range w.shards {
		w.shards[s].batcher.wait()
	}
}
