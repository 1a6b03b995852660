package server

import (
	"errors"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/internal/failpoint"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
)

// peers reaches the leaders of shards, wherever they are.
type peers interface {
	// Deliver hands an encoded peerDeliver to the leader of a shard. It does not
	// block and keeps the payload, which nobody changes, as long as it likes. done
	// gets the number of the last item that the shard has applied of the stream, or
	// an error, after which the items may have been applied or not. It is called at
	// most once, on any goroutine, also before Deliver returns.
	Deliver(to shard.ID, payload []byte, done func(applied uint64, err error))
}

// localPeers is a lone node's: every leader is here.
type localPeers struct{ writer *writer }

func (p localPeers) Deliver(to shard.ID, payload []byte, done func(applied uint64, err error)) {
	p.writer.handleDeliver(to, payload, done)
}

// handleDeliver serves a courier's message for a shard that this node leads. It
// trusts nothing in it.
func (w *writer) handleDeliver(to shard.ID, payload []byte, done func(applied uint64, err error)) {
	var message peerDeliver
	if err := message.decode(payload); err != nil {
		done(0, err)
		return
	}
	if err := message.check(w.layout, to); err != nil {
		done(0, err)
		return
	}
	p := &proposal{
		command: raftfsm.Command{
			Kind: raftfsm.CommandDeliver, From: message.From, First: message.First, Items: message.Items,
		},
		exempt: true,
		done: func(result *raftfsm.Result, err error) {
			if err == nil && result.Err != nil && !errors.Is(result.Err, engine.ErrGap) {
				// Sending again will not help: the two shards disagree about who exists.
				w.logger.Error("a shard refused a delivery", "shard", to, "from", message.From, "first", message.First, "error", result.Err)
				err = result.Err
			}
			if err != nil {
				done(0, err)
				return
			}
			failpoint.Hit("server/deliver-applied")
			done(result.Applied, nil) // of a gap, the mark tells by itself
		},
	}
	if err := w.shards[to].batcher.submit(p); err != nil {
		done(0, err)
	}
}
