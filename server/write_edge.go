package server

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// maxEdgeTargets bounds one write: a frame of import rows of a single follower.
const maxEdgeTargets = wire.MaxImportRows

// edgeWrite is a follow or an unfollow of some users by one: the request of a
// client, or the rows of an import that have the same follower.
type edgeWrite struct {
	Remove  bool
	Me      []byte
	Targets [][]byte
	Times   []uint32 // nil, or one for each target, in seconds since 1970; 0 is the cluster's time
	NoWait  bool     // answer when committed, visible or not
	// Done is called once, on any goroutine, also before start returns. It must not
	// block. The slices above belong to the writer until then.
	Done func(*edgeWrite)

	// The answer, complete when Done is called.

	// Code is OK, or why the whole request failed, which Message explains.
	Code    wire.Code
	Message string
	Results []wire.EdgeResult // one for each target, if Code is OK
	Pending bool              // some change may not yet be visible on the other side
}

// edgeTarget is one of the users that a write is about.
type edgeTarget struct {
	index int // in Targets and Results
	home  shard.ID
	led   bool      // home was led here when it was asked for uid
	uid   shard.UID // NoUID as long as unknown
}

// edgeOp is a write on its way. Its steps: resolve the names, register unknown
// ones, propose, wait for visibility. Each step may end on another goroutine.
type edgeOp struct {
	writer   *writer
	edge     *edgeWrite
	home     shard.ID // of me
	deadline deadline // until the commit
	patience deadline // from the commit on
	proposal proposal // of the follow or unfollow

	mu struct {
		sync.Mutex
		ended         bool // answered: nothing may be touched any more
		committed     bool
		me            shard.UID    // NoUID as long as unknown
		meLed         bool         // home was led here when it was asked for me
		open          []edgeTarget // those that are still to be decided
		steps         int          // registrations or waits that are under way
		registrations []*registration
		waits         []waiter
	}

	// small is room for the slices of a write of few targets, the usual one.
	small struct {
		targets [smallEdge]edgeTarget
		uids    [smallEdge]shard.UID
		waits   [1]waiter
	}
}

// smallEdge is how many targets fit into an edgeOp.
const smallEdge = 4

// start begins a write. It never blocks for long.
func (w *writer) start(e *edgeWrite) {
	e.Code, e.Message, e.Pending = wire.OK, "", false
	if !w.admit() {
		e.Code, e.Message = codeOf(errClosing), errClosing.Error()
		e.Done(e)
		return
	}
	op := &edgeOp{writer: w, edge: e}
	op.deadline.value.op, op.patience.value.op = op, op
	op.proposal.done = op.decided
	if err := op.validate(); err != nil {
		op.fail(wire.BadRequest, err)
		return
	}
	if !w.deadlines.add(&op.deadline) {
		op.fail(codeOf(errClosing), errClosing)
		return
	}
	op.resolve()
}

// validate judges the request by itself, and decides the targets that need no
// shard for it. Nobody else knows the write yet, so it takes no lock.
func (op *edgeOp) validate() error {
	e := op.edge
	switch {
	case len(e.Targets) == 0:
		return fmt.Errorf("no user ids are given")
	case len(e.Targets) > maxEdgeTargets:
		return fmt.Errorf("%d user ids, the limit is %d", len(e.Targets), maxEdgeTargets)
	case len(e.Times) != 0 && len(e.Times) != len(e.Targets):
		return fmt.Errorf("%d follow times for %d user ids", len(e.Times), len(e.Targets))
	}
	if err := shard.CheckUserID(e.Me); err != nil {
		return err
	}
	op.home = op.writer.layout.Home(e.Me)
	if cap(e.Results) < len(e.Targets) {
		e.Results = make([]wire.EdgeResult, len(e.Targets))
	}
	e.Results = e.Results[:len(e.Targets)]
	op.mu.open = op.small.targets[:0]
	if len(e.Targets) > smallEdge {
		op.mu.open = make([]edgeTarget, 0, len(e.Targets))
	}
	op.mu.me = shard.NoUID
	for i, target := range e.Targets {
		switch {
		case shard.CheckUserID(target) != nil:
			e.Results[i] = wire.MakeEdgeResult(wire.BadRequest, false)
		case bytes.Equal(target, e.Me) && e.Remove:
			e.Results[i] = wire.MakeEdgeResult(wire.OK, true) // nobody follows itself
		case bytes.Equal(target, e.Me):
			e.Results[i] = wire.MakeEdgeResult(wire.SelfFollow, false)
		default:
			op.mu.open = append(op.mu.open, edgeTarget{index: i, home: op.writer.layout.Home(target), uid: shard.NoUID})
		}
	}
	return nil
}

// propose puts the open targets, all of them known by now, into the log of me's
// shard.
func (op *edgeOp) propose() {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	op.refuseFullOutboxes()
	op.makeCommand()
	nothing := len(op.mu.open) == 0
	op.mu.Unlock()
	if nothing {
		op.succeed()
		return
	}
	if err := op.writer.shards[op.home].batcher.submit(&op.proposal); err != nil {
		op.fail(codeOf(err), err)
	}
}

// makeCommand fills in the proposal. The caller holds the lock.
func (op *edgeOp) makeCommand() {
	e, command := op.edge, &op.proposal.command
	command.Kind, command.Me, command.Targets = raftfsm.CommandFollow, op.mu.me, op.small.uids[:0]
	if e.Remove {
		command.Kind = raftfsm.CommandUnfollow
	}
	if len(op.mu.open) > smallEdge {
		command.Targets = make([]shard.UID, 0, len(op.mu.open))
	}
	if len(e.Times) != 0 && !e.Remove {
		command.Times = make([]uint32, 0, len(op.mu.open))
	}
	for _, t := range op.mu.open {
		command.Targets = append(command.Targets, t.uid)
		if command.Times != nil {
			command.Times = append(command.Times, e.Times[t.index])
		}
	}
}

// refuseFullOutboxes decides the targets in shards for which too many changes
// wait already. The caller holds the lock.
func (op *edgeOp) refuseFullOutboxes() {
	group := op.writer.shards[op.home].group
	graph := group.RLock()
	defer group.RUnlock()
	op.settle(func(t edgeTarget) (wire.EdgeResult, bool) {
		trimmed, last := graph.OutboxRange(t.home)
		return wire.MakeEdgeResult(codeOf(errOutboxFull), false), last-trimmed >= uint64(op.writer.limits.OutboxItems)
	})
}

// settle decides the open targets for which f has a result. The caller holds the
// lock.
func (op *edgeOp) settle(f func(t edgeTarget) (wire.EdgeResult, bool)) {
	open := op.mu.open[:0]
	for _, t := range op.mu.open {
		if result, ok := f(t); ok {
			op.edge.Results[t.index] = result
		} else {
			open = append(open, t)
		}
	}
	op.mu.open = open
}

// decided takes the outcome of the proposal. Removing the deadline settles whether
// the write was committed in time: from then on nothing but its own waits ends it.
func (op *edgeOp) decided(result *raftfsm.Result, err error) {
	if err == nil && result.Err != nil {
		op.writer.logger.Error("a committed write was refused", "shard", op.home, "error", result.Err)
		err = result.Err
	}
	if err != nil {
		op.fail(codeOf(err), err)
		return
	}
	if !op.writer.deadlines.remove(&op.deadline) {
		return
	}
	op.mu.Lock()
	op.mu.committed = true
	op.mu.waits = op.small.waits[:0]
	for i, t := range op.mu.open {
		op.edge.Results[t.index] = edgeResult(result.Outcomes[i])
		if seq := result.Seqs[i]; seq != 0 && !op.edge.NoWait {
			op.waitFor(t.home, seq)
		}
	}
	op.mu.steps = len(op.mu.waits) + 1
	waits := op.mu.waits
	op.mu.Unlock()
	op.await(waits)
}

// edgeResult says what a client is told of an outcome.
func edgeResult(o engine.Outcome) wire.EdgeResult {
	switch o {
	case engine.Followed, engine.Unfollowed:
		return wire.MakeEdgeResult(wire.OK, false)
	case engine.Already, engine.NotFollowing:
		return wire.MakeEdgeResult(wire.OK, true)
	case engine.SelfFollow:
		return wire.MakeEdgeResult(wire.SelfFollow, false)
	case engine.FollowingFull:
		return wire.MakeEdgeResult(wire.FollowingFull, false)
	}
	return wire.MakeEdgeResult(wire.BadRequest, false)
}

// waitFor notes that a number of a stream must be applied: the highest one of
// each stream is enough. The caller holds the lock.
func (op *edgeOp) waitFor(to shard.ID, sequence uint64) {
	for i := range op.mu.waits {
		if w := &op.mu.waits[i].value; w.to == to {
			w.sequence = max(w.sequence, sequence)
			return
		}
	}
	op.mu.waits = append(op.mu.waits, waiter{value: wait{op: op, to: to, sequence: sequence}})
}

// await begins the wait for visibility. The write may end meanwhile; its waiters
// are then turned away.
func (op *edgeOp) await(waits []waiter) {
	ws := op.writer.shards[op.home].waiters
	listed := false
	for i := range waits {
		switch ws.add(&waits[i]) {
		case admitted:
			listed = true
		case visible:
			op.becameVisible()
		case refused:
			op.givePending()
			return
		}
	}
	if listed && !op.writer.patiences.add(&op.patience) {
		op.givePending() // the node is closing, or the write has ended
		return
	}
	op.becameVisible()
}

// becameVisible ends one of the waits; the last one ends the write.
func (op *edgeOp) becameVisible() {
	if op.stepEnded() {
		op.succeed()
	}
}

// stepEnded counts a step out and says whether it was the last one.
func (op *edgeOp) stepEnded() bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.mu.steps--
	return op.mu.steps == 0
}

// giveUp ends the write because it is not committed in time. Its outcome is not
// known.
func (op *edgeOp) giveUp() { op.fail(codeOf(errDeadline), errDeadline) }

// givePending ends the write, which is committed, before it is visible.
func (op *edgeOp) givePending() { op.end(func(e *edgeWrite) { e.Pending = true }) }

func (op *edgeOp) succeed() { op.end(func(*edgeWrite) {}) }

func (op *edgeOp) fail(code wire.Code, err error) {
	op.end(func(e *edgeWrite) { e.Code, e.Message = code, err.Error() })
}

// end answers the write, unless that was done already.
func (op *edgeOp) end(answer func(e *edgeWrite)) {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	op.mu.ended = true
	answer(op.edge)
	committed, waits, registrations := op.mu.committed, op.mu.waits, op.mu.registrations
	op.mu.Unlock()

	op.proposal.abandoned.Store(true)
	for _, r := range registrations {
		r.abandoned.Store(true)
	}
	w := op.writer
	if !committed {
		w.deadlines.remove(&op.deadline)
	}
	for i := range waits {
		w.shards[op.home].waiters.remove(&waits[i])
	}
	if len(waits) > 0 {
		w.patiences.remove(&op.patience)
	}
	op.edge.Done(op.edge)
	w.release()
}
