package server

import (
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// meIndex stands for the follower among the indices of targets.
const meIndex = -1

// homeNames are the users of a write who live in one shard and are not known yet.
type homeNames struct {
	ids [][]byte
	who []int // places in open, or meIndex
}

// resolver is scratch memory for looking up names.
type resolver struct {
	homes []shard.ID
	names homeNames
	uids  []shard.UID
}

// unknownHomes appends the homes of the unknown users to dst, each once. The
// caller holds the lock.
func (op *edgeOp) unknownHomes(dst []shard.ID) []shard.ID {
	var seen [shard.MaxShards]bool
	note := func(uid shard.UID, home shard.ID) {
		if uid == shard.NoUID && !seen[home] {
			seen[home] = true
			dst = append(dst, home)
		}
	}
	note(op.mu.me, op.home)
	for i := range op.mu.open {
		note(op.mu.open[i].uid, op.mu.open[i].home)
	}
	return dst
}

// unknownAt puts the unknown users of one home into n. The caller holds the lock.
func (op *edgeOp) unknownAt(home shard.ID, n *homeNames) {
	n.ids, n.who = n.ids[:0], n.who[:0]
	if home == op.home && op.mu.me == shard.NoUID {
		n.ids, n.who = append(n.ids, op.edge.Me), append(n.who, meIndex)
	}
	for i := range op.mu.open {
		if t := &op.mu.open[i]; t.home == home && t.uid == shard.NoUID {
			n.ids, n.who = append(n.ids, op.edge.Targets[t.index]), append(n.who, i)
		}
	}
}

// take notes the uids that were found or made, and whether their home was led here
// before it was asked. The caller holds the lock.
func (op *edgeOp) take(n *homeNames, uids []shard.UID, led bool) {
	for i, who := range n.who {
		if who == meIndex {
			op.mu.me, op.mu.meLed = uids[i], led
		} else {
			op.mu.open[who].uid, op.mu.open[who].led = uids[i], led
		}
	}
}

// resolve looks up the uids of all users of the write.
func (op *edgeOp) resolve() {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	nothing := len(op.mu.open) == 0
	if !nothing {
		op.lookUp()
	}
	allKnown := op.mu.me != shard.NoUID
	for i := range op.mu.open {
		allKnown = allKnown && op.mu.open[i].uid != shard.NoUID
	}
	op.mu.Unlock()
	switch {
	case nothing:
		op.succeed()
	case allKnown:
		op.propose()
	case op.edge.Remove:
		op.forgetUnknown()
	default:
		op.register()
	}
}

// lookUp finds the users in the graphs of their home shards. The caller holds the
// lock.
func (op *edgeOp) lookUp() {
	r := op.writer.resolvers.Get().(*resolver)
	defer op.writer.resolvers.Put(r)
	r.homes = op.unknownHomes(r.homes[:0])
	for _, home := range r.homes {
		op.unknownAt(home, &r.names)
		if len(r.uids) < len(r.names.ids) {
			r.uids = make([]shard.UID, len(r.names.ids))
		}
		uids := r.uids[:len(r.names.ids)]
		group := op.writer.shards[home].group
		led := group.Ready() // first: what a replica did not know may be known when it leads
		group.RLock().LookupMany(r.names.ids, uids)
		group.RUnlock()
		op.take(&r.names, uids, led)
	}
}

// forgetUnknown decides the unfollows that name a user whom nobody knows: there
// is no such edge, so nothing changes. Only a shard's leader knows that a user is
// unknown.
func (op *edgeOp) forgetUnknown() {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	meKnown := op.mu.me != shard.NoUID
	if !meKnown && !op.mu.meLed {
		op.mu.Unlock()
		op.fail(codeOf(errShardNotReady), errShardNotReady)
		return
	}
	op.settle(func(t edgeTarget) (wire.EdgeResult, bool) {
		switch {
		case !meKnown:
		case t.uid != shard.NoUID:
			return 0, false
		case !t.led:
			return wire.MakeEdgeResult(codeOf(errShardNotReady), false), true
		}
		return wire.MakeEdgeResult(wire.OK, true), true
	})
	nothing := len(op.mu.open) == 0
	op.mu.Unlock()
	if nothing {
		op.succeed()
	} else {
		op.propose()
	}
}

// registration is one shard's part of making the users of a write known.
type registration struct {
	proposal
	op    *edgeOp
	home  shard.ID
	names homeNames
}

// register gives uids to unknown users, each at its home. Another write may be
// registering the same ones: the state machine gives a name one uid.
func (op *edgeOp) register() {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	for _, home := range op.unknownHomes(nil) {
		r := &registration{op: op, home: home}
		op.unknownAt(home, &r.names)
		r.command = raftfsm.Command{Kind: raftfsm.CommandRegister, UserIDs: r.names.ids}
		r.done = r.decided
		op.mu.registrations = append(op.mu.registrations, r)
	}
	all := op.mu.registrations
	op.mu.steps = len(all)
	op.mu.Unlock()
	for _, r := range all {
		if err := op.writer.shards[r.home].batcher.submit(&r.proposal); err != nil {
			r.decided(nil, err)
		}
	}
}

// decided takes the outcome of a registration.
func (r *registration) decided(result *raftfsm.Result, err error) {
	op := r.op
	if err == nil && result.Err != nil {
		op.writer.logger.Error("users could not be registered", "shard", r.home, "error", result.Err)
	}
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	if err == nil {
		op.take(&r.names, result.UIDs, true)
	}
	op.mu.steps--
	last := op.mu.steps == 0
	op.mu.Unlock()
	if last {
		op.registered()
	}
}

// registered goes on with the users who are known now. For the others nothing was
// followed, so they are unavailable, whatever became of their names.
func (op *edgeOp) registered() {
	op.mu.Lock()
	if op.mu.ended {
		op.mu.Unlock()
		return
	}
	op.settle(func(t edgeTarget) (wire.EdgeResult, bool) {
		return wire.MakeEdgeResult(wire.Unavailable, false), t.uid == shard.NoUID
	})
	meKnown := op.mu.me != shard.NoUID
	op.mu.Unlock()
	if !meKnown {
		op.fail(wire.Unavailable, errNotRegistered)
		return
	}
	op.propose()
}
