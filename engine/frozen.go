package engine

import "github.com/kithgraph/kith/shard"

// Frozen is everything in which a Graph, as it was when frozen, differs from the
// committed records. Next gives it out a few records at a time; the graph may
// change between the calls, because what is about to change is saved first.
//
// A Frozen ends with Commit, when the records are safe, or with Abort.
type Frozen struct {
	g     *Graph
	phase frozenPhase
	meta  []byte // payload

	nextName, endName uint32
	dirty             *dirtySet
	cursor            dirtyCursor
	saved             map[chunkID][]byte // old forms of chunks changed since; nil: there was none
	savedBytes        int
	outbox            []frozenQueue
	nextQueue         int // of outbox

	key, value []byte // buffers of the record being emitted
}

type frozenPhase uint8

const (
	frozenMeta frozenPhase = iota
	frozenNames
	frozenChunks
	frozenOutbox
	frozenEnd
)

// frozenQueue is what to write of the stream to one shard: first the blocks from
// nextDelete to endDelete go, then those from nextWrite to endWrite are set.
// Blocks are shared with the queue, which only ever adds to the last one.
type frozenQueue struct {
	to                    shard.ID
	trimmed               uint64
	nextDelete, endDelete uint64
	nextWrite, endWrite   uint64
	blocks                []*[outboxBlock]queued // from nextWrite on
	stored                storedRange            // once committed
}

// Freeze fixes what has changed since the last committed Frozen. There must be no
// other one alive.
func (g *Graph) Freeze() *Frozen {
	if g.frozen != nil {
		panic("engine: two frozen states at once")
	}
	m := g.meta()
	f := &Frozen{
		g:        g,
		meta:     m.append(nil),
		nextName: g.storedNames / namesPerRecord * namesPerRecord,
		endName:  g.Users(),
		dirty:    g.dirty,
		cursor:   dirtyCursor{set: g.dirty},
		saved:    map[chunkID][]byte{},
	}
	if g.storedNames == g.Users() {
		f.nextName = f.endName
	}
	for to := range g.outbox {
		if q, changed := g.outbox[to].freeze(shard.ID(to)); changed {
			f.outbox = append(f.outbox, q)
		}
	}
	g.dirty = newDirtySet()
	g.frozen = f
	return f
}

func (q *outboxQueue) freeze(to shard.ID) (f frozenQueue, changed bool) {
	first, end := q.liveBlocks()
	f = frozenQueue{
		to:         to,
		trimmed:    q.trimmed,
		nextDelete: q.stored.firstBlock,
		endDelete:  min(first, q.stored.endBlock),
		nextWrite:  max(first, blockOf(q.stored.last+1)),
		endWrite:   end,
		stored:     storedRange{first, end, q.last},
	}
	if f.nextWrite < f.endWrite && q.last > q.stored.last {
		f.blocks = append(f.blocks, q.blocks[f.nextWrite-q.firstBlock:]...)
	} else {
		f.nextWrite = f.endWrite
	}
	return f, f.stored != q.stored
}

// Next emits up to max records, in ascending order of their keys; a nil value
// deletes the key. Keys and values are valid only until emit returns. The records
// of one Frozen are to be applied all or none.
//
// The caller holds exclusive access to the graph meanwhile. more is false when
// nothing is left. When emit fails, Next ends with its error and would go on with
// the same record.
func (f *Frozen) Next(max int, emit func(key, value []byte) error) (more bool, err error) {
	f.mustBeAlive()
	for max > 0 && f.phase != frozenEnd {
		emitted, err := f.step(emit)
		if err != nil {
			return true, err
		}
		if emitted {
			max--
		} else {
			f.phase++
		}
	}
	return f.phase != frozenEnd, nil
}

// step emits the phase's next record; emitted is false when the phase is over.
func (f *Frozen) step(emit func(key, value []byte) error) (emitted bool, err error) {
	switch f.phase {
	case frozenMeta:
		return f.stepMeta(emit)
	case frozenNames:
		return f.stepNames(emit)
	case frozenChunks:
		return f.stepChunks(emit)
	default:
		return f.stepOutbox(emit)
	}
}

func (f *Frozen) stepMeta(emit func(key, value []byte) error) (bool, error) {
	if f.meta == nil {
		return false, nil
	}
	f.begin(appendMetaKey(f.key[:0]))
	f.value = append(f.value, f.meta...)
	if err := f.emit(emit); err != nil {
		return false, err
	}
	f.meta = nil
	return true, nil
}

func (f *Frozen) stepNames(emit func(key, value []byte) error) (bool, error) {
	if f.nextName >= f.endName {
		return false, nil
	}
	end := min(f.nextName+namesPerRecord, f.endName)
	f.begin(appendNamesKey(f.key[:0], f.nextName/namesPerRecord))
	for n := f.nextName; n < end; n++ {
		id := f.g.names.ID(n)
		f.value = append(append(f.value, byte(len(id))), id...)
	}
	if err := f.emit(emit); err != nil {
		return false, err
	}
	f.nextName = end
	return true, nil
}

func (f *Frozen) stepChunks(emit func(key, value []byte) error) (bool, error) {
	id, ok := f.cursor.peek()
	if !ok {
		return false, nil
	}
	f.begin(appendChunkKey(f.key[:0], id))
	old, changed := f.saved[id]
	exists := old != nil
	if changed {
		f.value = append(f.value, old...)
	} else {
		f.value, exists = f.g.chunkAt(id, f.value)
	}
	if err := f.emitOrDelete(exists, emit); err != nil {
		return false, err
	}
	delete(f.saved, id)
	f.savedBytes -= len(old)
	f.cursor.advance()
	return true, nil
}

func (f *Frozen) stepOutbox(emit func(key, value []byte) error) (bool, error) {
	for ; f.nextQueue < len(f.outbox); f.nextQueue++ {
		q := &f.outbox[f.nextQueue]
		switch {
		case q.nextDelete < q.endDelete:
			f.begin(appendOutboxKey(f.key[:0], q.to, q.nextDelete))
			if err := f.emitOrDelete(false, emit); err != nil {
				return false, err
			}
			q.nextDelete++
			return true, nil
		case q.nextWrite < q.endWrite:
			f.begin(appendOutboxKey(f.key[:0], q.to, q.nextWrite))
			f.value = q.appendBlock(f.value)
			if err := f.emit(emit); err != nil {
				return false, err
			}
			q.nextWrite++
			q.blocks = q.blocks[1:]
			return true, nil
		}
	}
	return false, nil
}

// appendBlock appends the payload of the next block to write: the items that
// waited when the graph was frozen.
func (q *frozenQueue) appendBlock(dst []byte) []byte {
	start := q.nextWrite * outboxBlock // items before the block
	from := max(q.trimmed, start) - start
	to := min(q.stored.last-start, outboxBlock)
	dst = append(dst, byte(from))
	for _, item := range q.blocks[0][from:to] {
		dst = appendQueued(dst, item)
	}
	return dst
}

func (f *Frozen) begin(key []byte) {
	f.key = key
	f.value = append(f.value[:0], recordVersion)
}

func (f *Frozen) emit(emit func(key, value []byte) error) error {
	f.value = seal(f.key, f.value)
	return emit(f.key, f.value)
}

func (f *Frozen) emitOrDelete(exists bool, emit func(key, value []byte) error) error {
	if exists {
		return f.emit(emit)
	}
	return emit(f.key, nil)
}

// save keeps the form that a chunk has now, before it changes, if Next is still
// to emit it.
func (f *Frozen) save(id chunkID) {
	if !f.dirty.has(id) || f.cursor.passed(id) {
		return
	}
	if _, ok := f.saved[id]; ok {
		return
	}
	old, exists := f.g.chunkAt(id, []byte{})
	if !exists {
		old = nil
	}
	f.saved[id] = old
	f.savedBytes += len(old)
}

// chunkAt appends the stored form of a chunk; ok is false when there is none.
func (g *Graph) chunkAt(id chunkID, dst []byte) (form []byte, ok bool) {
	return g.pool.ChunkAt(*g.list(id.owner>>1, direction(id.owner&1)), id.sep, dst)
}

// Commit says that all records are safe. Next must have emitted the last one.
func (f *Frozen) Commit() {
	f.mustBeAlive()
	if f.phase != frozenEnd {
		panic("engine: commit of records that were never emitted")
	}
	f.g.storedNames = f.endName
	for _, q := range f.outbox {
		f.g.outbox[q.to].stored = q.stored
	}
	f.end()
}

// Abort gives up: what the Frozen would have stored is left for the next one.
func (f *Frozen) Abort() {
	f.mustBeAlive()
	f.g.dirty.merge(f.dirty)
	f.end()
}

func (f *Frozen) end() {
	f.g.frozen = nil
	f.g = nil
}

func (f *Frozen) mustBeAlive() {
	if f.g == nil {
		panic("engine: use of a frozen state that has ended")
	}
}
