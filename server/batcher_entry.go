package server

import (
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
)

// trimBytes is what a trim may take in an entry, with room to spare.
const trimBytes = 32

// cutEntry is one log entry: the proposals that went into it, in order, and
// behind them the trims that ride along.
type cutEntry struct {
	proposals []*proposal
	trims     []trimMark
	abandoned []*proposal // taken from the queue, but left out
	sizeBytes int         // upper bound of the proposals' size
	future    raftfsm.Future
}

type trimMark struct {
	to      shard.ID
	applied uint64
}

func (e *cutEntry) isEmpty() bool { return len(e.proposals) == 0 && len(e.trims) == 0 }

// cut takes the next entry from the queue. It returns nil when there is none.
func (b *batcher) cut() *cutEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.ready || b.mu.queue.len() == 0 && !b.mu.maintain {
		return nil
	}
	e := &cutEntry{proposals: make([]*proposal, 0, min(b.mu.queue.len(), raftfsm.MaxEntryCommands))}
	reserved := b.mu.trims.waiting
	full := func(p *proposal) bool {
		return len(e.proposals)+reserved >= raftfsm.MaxEntryCommands ||
			e.sizeBytes+p.sizeBytes+reserved*trimBytes+entryHeaderBytes > raftfsm.MaxEntryBytes
	}
	for b.mu.queue.len() > 0 {
		p := b.mu.queue.front()
		if full(p) && len(e.proposals) > 0 {
			break
		}
		b.mu.queue.pop()
		if p.abandoned.Load() {
			e.abandoned = append(e.abandoned, p)
			continue
		}
		if full(p) { // too large to share an entry with anything
			e.proposals, e.sizeBytes = append(e.proposals, p), p.sizeBytes
			return e
		}
		e.proposals = append(e.proposals, p)
		e.sizeBytes += p.sizeBytes
	}
	b.takeTrims(e)
	return e
}

// entryHeaderBytes is more than an entry has before its first command.
const entryHeaderBytes = 64

// takeTrims moves the waiting trims into an entry. The caller holds the lock. If
// an earlier outcome is open and the entry would be empty, it gets a trim that
// changes nothing: its being applied settles that outcome.
func (b *batcher) takeTrims(e *cutEntry) {
	for to, applied := range b.mu.trims.applied {
		if applied > 0 {
			e.trims = append(e.trims, trimMark{shard.ID(to), applied})
		}
	}
	if e.isEmpty() && b.mu.unsure && b.shards > 1 {
		e.trims = append(e.trims, trimMark{to: (b.shard + 1) % shard.ID(b.shards)})
	}
	b.mu.trims.clear()
	b.mu.unsure, b.mu.maintain = false, false
}

func (e *cutEntry) encode(time uint32) []byte {
	entry := make([]byte, 0, e.sizeBytes+len(e.trims)*trimBytes+entryHeaderBytes)
	entry = raftfsm.AppendEntryHeader(entry, time)
	for _, p := range e.proposals {
		entry = raftfsm.AppendCommand(entry, &p.command)
	}
	for _, t := range e.trims {
		command := raftfsm.Command{Kind: raftfsm.CommandTrim, To: t.to, Applied: t.applied}
		entry = raftfsm.AppendCommand(entry, &command)
	}
	return entry
}

// fail ends every proposal of the entry with the same error.
func (e *cutEntry) fail(err error) {
	for _, p := range e.proposals {
		p.done(nil, err)
	}
}

// succeed gives every proposal its own result.
func (e *cutEntry) succeed(result *raftfsm.EntryResult) {
	if len(result.Results) != len(e.proposals)+len(e.trims) {
		panic("server: the state machine did not answer every command of an entry")
	}
	for i, p := range e.proposals {
		p.done(&result.Results[i], nil)
	}
}
