package engine

import (
	"unsafe"

	"github.com/kithgraph/kith/shard"
)

// outboxBlock is how many items lie, and are stored, together. It is part of the
// stored format.
const outboxBlock = 256

// queued is an Item as it waits: its source lives here, so one bit of the number
// is free for what to do.
type queued struct {
	sourceRemove uint32 // source's number << 1 | 1 to remove
	target       shard.UID
	time         uint32
}

func makeQueued(source uint32, remove bool, target shard.UID, time uint32) queued {
	q := queued{sourceRemove: source << 1, target: target, time: time}
	if remove {
		q.sourceRemove |= 1
	}
	return q
}

func (g *Graph) item(q queued) Item {
	return Item{
		Remove: q.sourceRemove&1 != 0,
		Source: g.uid(q.sourceRemove >> 1),
		Target: q.target,
		Time:   q.time,
	}
}

// outboxQueue is the stream to one shard: items numbered from 1, of which
// trimmed+1 … last wait. It is as long as the other side is behind; what bounds
// it is that the server stops taking writes.
type outboxQueue struct {
	trimmed, last uint64
	blocks        []*[outboxBlock]queued // the first one is number firstBlock
	firstBlock    uint64
	stored        storedRange
}

// storedRange says what the committed records have of a queue: blocks
// [firstBlock, endBlock), items up to last.
type storedRange struct {
	firstBlock, endBlock, last uint64
}

// blockOf returns the number of the block that holds an item.
func blockOf(number uint64) uint64 { return (number - 1) / outboxBlock }

// push appends an item and returns its number.
func (q *outboxQueue) push(item queued) uint64 {
	q.last++
	block := blockOf(q.last)
	if len(q.blocks) == 0 {
		q.firstBlock = block
	}
	if block-q.firstBlock == uint64(len(q.blocks)) {
		q.blocks = append(q.blocks, new([outboxBlock]queued))
	}
	*q.at(q.last) = item
	return q.last
}

// at returns the place of an item that waits.
func (q *outboxQueue) at(number uint64) *queued {
	return &q.blocks[blockOf(number)-q.firstBlock][(number-1)%outboxBlock]
}

func (q *outboxQueue) trim(applied uint64) {
	q.trimmed = max(q.trimmed, min(applied, q.last))
	needed := blockOf(q.trimmed + 1)
	for len(q.blocks) > 0 && q.firstBlock < needed {
		q.blocks[0] = nil
		q.blocks = q.blocks[1:]
		q.firstBlock++
	}
}

// liveBlocks returns the range of blocks that hold items which wait. If there
// are none, the range begins and ends behind every block that there was.
func (q *outboxQueue) liveBlocks() (first, end uint64) {
	end = (q.last + outboxBlock - 1) / outboxBlock
	if q.trimmed == q.last {
		return end, end
	}
	return blockOf(q.trimmed + 1), end
}

func (q *outboxQueue) memoryBytes() int {
	return len(q.blocks)*int(unsafe.Sizeof([outboxBlock]queued{})) + 8*cap(q.blocks)
}

// OutboxRange returns the numbers of the last item trimmed and the last one
// queued for a shard; what lies between waits.
func (g *Graph) OutboxRange(to shard.ID) (trimmed, last uint64) {
	if !g.otherShard(to) {
		return 0, 0
	}
	return g.outbox[to].trimmed, g.outbox[to].last
}

// Outbox appends to dst the waiting items for a shard with numbers above after,
// at most max of them. They are numbered first, first+1 and so on.
func (g *Graph) Outbox(to shard.ID, after uint64, max int, dst []Item) (items []Item, first uint64) {
	if !g.otherShard(to) {
		return dst, 0
	}
	q := &g.outbox[to]
	if after < q.trimmed {
		after = q.trimmed
	}
	first = after + 1
	for number := first; number <= q.last && max > 0; number++ {
		dst = append(dst, g.item(*q.at(number)))
		max--
	}
	return dst, first
}

// Trim forgets the items for a shard up to a number: they have been applied
// there. Numbers beyond the last one queued are taken as the last.
func (g *Graph) Trim(to shard.ID, applied uint64) {
	if g.otherShard(to) {
		g.outbox[to].trim(applied)
	}
}
