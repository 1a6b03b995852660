package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/kithgraph/kith/engine/internal/neighbors"
	"github.com/kithgraph/kith/shard"
)

// Loader builds a Graph from stored records. It refuses, with an error and
// without a panic, whatever a Graph cannot have stored; what it reserves stays in
// proportion to the bytes that it is given.
type Loader struct {
	g       *Graph
	err     error // the first one; nothing is loaded after it
	lastKey []byte
	meta    meta
	started bool // the meta record has come

	owner   uint32 // of the last chunk
	inChunk bool   // a chunk has come
	counted [2]uint64
	edgeSum uint64
	scratch [pageBatch]neighbors.Key
}

// NewLoader returns a loader for the records of the shard that the options name.
// The following limit comes from the records. Wrong options are reported by Add
// and Finish.
func NewLoader(o Options) *Loader {
	g, err := New(o)
	return &Loader{g: g, err: err}
}

// Add takes the next record; keys must ascend. Neither slice is kept. Errors wrap
// ErrCorrupt, ErrUnknownVersion, ErrTruncated or ErrForeign and name the key; all
// later calls return the first one again.
func (l *Loader) Add(key, value []byte) error {
	if l.err == nil {
		if err := l.add(key, value); err != nil {
			l.err = fmt.Errorf("load record %x: %w", key, err)
		}
	}
	return l.err
}

func (l *Loader) add(key, value []byte) error {
	if len(key) == 0 {
		return keyLengthError(key)
	}
	if bytes.Compare(key, l.lastKey) <= 0 {
		return fmt.Errorf("%w: its key is not above the last one, %x", ErrCorrupt, l.lastKey)
	}
	l.lastKey = append(l.lastKey[:0], key...)
	payload, err := unseal(key, value)
	if err != nil {
		return err
	}
	kind := recordKind(key[0])
	if !l.started && kind != metaRecord {
		return fmt.Errorf("%w: the meta record is missing", ErrTruncated)
	}
	switch kind {
	case metaRecord:
		return l.addMeta(key, payload)
	case namesRecord:
		return l.addNames(key, payload)
	case chunkRecord:
		return l.addChunk(key, payload)
	case outboxRecord:
		return l.addOutbox(key, payload)
	}
	return fmt.Errorf("%w: unknown kind of record %d", ErrCorrupt, kind)
}

func (l *Loader) addMeta(key, payload []byte) error {
	if len(key) != metaKeyBytes {
		return keyLengthError(key)
	}
	m, err := parseMeta(payload)
	if err != nil {
		return err
	}
	g := l.g
	if int(m.shards) != g.layout.Shards() || shard.ID(m.shard) != g.shard {
		return fmt.Errorf("%w: shard %d of %d, not %d of %d",
			ErrForeign, m.shard, m.shards, g.shard, g.layout.Shards())
	}
	if m.limit == 0 || m.highest < m.limit || m.users > min(maxUsers, g.layout.UsersPerShard()) {
		return fmt.Errorf("%w: limits %d and %d, %d users", ErrCorrupt, m.limit, m.highest, m.users)
	}
	g.limit, g.highest = m.limit, m.highest
	copy(g.marks, m.marks)
	for to := range g.outbox {
		trimmed, last := m.ranges[to][0], m.ranges[to][1]
		own := to == int(g.shard) && (m.marks[to] != 0 || last != 0)
		if trimmed > last || last == math.MaxUint64 || own {
			return fmt.Errorf("%w: outbox for %d from %d to %d", ErrCorrupt, to, trimmed, last)
		}
		q := &g.outbox[to]
		// last is where the queue ends so far; addOutbox brings it up to the meta's.
		q.trimmed, q.last = trimmed, trimmed
	}
	l.meta, l.started = m, true
	return nil
}

func (l *Loader) addNames(key, payload []byte) error {
	if len(key) != namesKeyBytes {
		return keyLengthError(key)
	}
	g := l.g
	block := binary.BigEndian.Uint32(key[1:])
	if uint64(block)*namesPerRecord != uint64(g.Users()) || g.Users() == l.meta.users {
		return fmt.Errorf("%w: block %d of names after %d of %d users", ErrCorrupt, block, g.Users(), l.meta.users)
	}
	want := min(namesPerRecord, l.meta.users-g.Users())
	for range want {
		if len(payload) == 0 || len(payload)-1 < int(payload[0]) {
			return fmt.Errorf("%w: it ends before name %d", ErrTruncated, g.Users())
		}
		id := payload[1 : 1+payload[0]]
		payload = payload[1+len(id):]
		n := g.Users()
		if uid, err := g.Register(id); err != nil {
			return fmt.Errorf("%w: name %d: %w", ErrCorrupt, n, err)
		} else if uid != g.uid(n) {
			return fmt.Errorf("%w: names %d and %d are equal", ErrCorrupt, n, g.layout.Local(uid))
		}
	}
	if len(payload) > 0 {
		return fmt.Errorf("%w: %d bytes follow the last name", ErrCorrupt, len(payload))
	}
	return nil
}

func (l *Loader) addChunk(key, payload []byte) error {
	id, err := parseChunkKey(key)
	if err != nil {
		return err
	}
	if err := l.namesComplete(); err != nil {
		return err
	}
	if id.owner>>1 >= l.g.Users() {
		return fmt.Errorf("%w: user %d of %d", ErrCorrupt, id.owner>>1, l.g.Users())
	}
	if l.inChunk && id.owner != l.owner {
		if err := l.closeList(id.owner); err != nil {
			return err
		}
	}
	l.inChunk, l.owner = true, id.owner
	list := l.g.list(id.owner>>1, direction(id.owner&1))
	if err := l.g.pool.LoadChunk(list, id.sep, payload); err != nil {
		return chunkError(err)
	}
	return nil
}

// chunkError gives an error of package neighbors its meaning in this one.
func chunkError(err error) error {
	switch {
	case errors.Is(err, neighbors.ErrTruncated):
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	default:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
}

func (l *Loader) namesComplete() error {
	if l.g.Users() != l.meta.users {
		return fmt.Errorf("%w: %d names of %d", ErrTruncated, l.g.Users(), l.meta.users)
	}
	return nil
}

// closeList ends the list of the last chunk; next is the owner that follows. At
// a user's last list both are in the cache, so it is then that they are compared.
func (l *Loader) closeList(next uint32) error {
	n, d := l.owner>>1, direction(l.owner&1)
	list := l.g.list(n, d)
	if err := l.g.pool.FinishLoad(list); err != nil {
		return chunkError(err)
	}
	if err := l.checkMembers(n, d, *list); err != nil {
		return err
	}
	l.counted[d] += uint64(list.Len())
	if d == following && uint32(list.Len()) > l.meta.highest {
		return fmt.Errorf("%w: user %d follows %d", ErrCorrupt, n, list.Len())
	}
	if next>>1 != n {
		*l.g.mutual(n) = uint32(l.g.pool.AndCount(*l.g.list(n, following), *l.g.list(n, followers)))
	}
	return nil
}

// checkMembers makes sure that every member of a list can be one.
func (l *Loader) checkMembers(n uint32, d direction, list neighbors.List) error {
	me, hash := l.g.uid(n), listHash(n, d)
	before := neighbors.Key(Newest)
	for {
		keys := l.g.pool.Before(list, before, l.scratch[:0], pageBatch)
		for _, k := range keys {
			if uid := shard.UID(k.UID()); uid == me || !l.g.possible(uid) {
				return fmt.Errorf("%w: user %d has %d in list %d", ErrCorrupt, n, uid, d)
			}
			l.edgeSum += hash.edge(k)
		}
		if len(keys) < pageBatch {
			return nil
		}
		before = keys[pageBatch-1]
	}
}

func (l *Loader) addOutbox(key, payload []byte) error {
	if len(key) != outboxKeyBytes {
		return keyLengthError(key)
	}
	to, block := shard.ID(binary.BigEndian.Uint16(key[1:])), binary.BigEndian.Uint64(key[3:])
	if !l.g.otherShard(to) {
		return fmt.Errorf("%w: an outbox for %d", ErrCorrupt, to)
	}
	q, last := &l.g.outbox[to], l.meta.ranges[to][1]
	if q.last == last || block != blockOf(q.last+1) {
		return fmt.Errorf("%w: block %d of the outbox for %d, which has %d to %d", ErrCorrupt, block, to, q.last, last)
	}
	if len(payload) < 1+queuedBytes || (len(payload)-1)%queuedBytes != 0 {
		return fmt.Errorf("%w: a block of items of %d bytes", ErrTruncated, len(payload))
	}
	// The record may still hold items trimmed since it was written.
	number := block*outboxBlock + uint64(payload[0]) + 1
	end := number + uint64(len(payload)-1)/queuedBytes // exclusive
	if number > q.last+1 || end != min((block+1)*outboxBlock, last)+1 {
		return fmt.Errorf("%w: items %d to %d after %d", ErrCorrupt, number, end-1, q.last)
	}
	for payload = payload[1:]; len(payload) > 0; payload = payload[queuedBytes:] {
		if number > q.trimmed {
			item := parseQueued(payload)
			if err := l.checkQueued(to, item); err != nil {
				return err
			}
			q.push(item)
		}
		number++
	}
	return nil
}

func (l *Loader) checkQueued(to shard.ID, q queued) error {
	if q.sourceRemove>>1 >= l.g.Users() || l.g.layout.HomeOf(q.target) != to || !l.g.possible(q.target) {
		return fmt.Errorf("%w: item of user %d for %d", ErrCorrupt, q.sourceRemove>>1, q.target)
	}
	return nil
}

// Finish returns the graph. Its errors are those of Add: records are missing, or
// contradict each other.
func (l *Loader) Finish() (*Graph, error) {
	if l.err == nil {
		if err := l.finish(); err != nil {
			l.err = fmt.Errorf("load: after record %x: %w", l.lastKey, err)
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	g := l.g
	l.g, l.err = nil, errFinished
	return g, nil
}

func (l *Loader) finish() error {
	if !l.started {
		return fmt.Errorf("%w: the meta record is missing", ErrTruncated)
	}
	if err := l.namesComplete(); err != nil {
		return err
	}
	if l.inChunk {
		if err := l.closeList(math.MaxUint32); err != nil {
			return err
		}
	}
	if l.counted != l.meta.edges {
		return fmt.Errorf("%w: %d members of lists, not %d", ErrTruncated, l.counted, l.meta.edges)
	}
	if l.edgeSum != l.meta.edgeSum {
		return fmt.Errorf("%w: a chunk is missing or older than the meta record", ErrCorrupt)
	}
	g := l.g
	g.edges, g.edgeSum = l.counted, l.edgeSum
	g.storedNames = g.Users()
	for to := range g.outbox {
		q := &g.outbox[to]
		if last := l.meta.ranges[to][1]; q.last != last {
			return fmt.Errorf("%w: the outbox for %d ends at %d, not %d", ErrTruncated, to, q.last, last)
		}
		first, end := q.liveBlocks()
		q.stored = storedRange{first, end, q.last}
	}
	return nil
}
