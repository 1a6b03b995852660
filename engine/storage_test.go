package engine

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/kithgraph/kith/shard"
)

type record struct {
	key   string
	value []byte
}

// modelStorage is what would be on disk of one shard.
type modelStorage struct {
	records map[string][]byte
	frozen  *Frozen
	twin    *Frozen
	batch   []record
	load    bool   // load what this freeze makes
	frozeAt uint64 // checksum when frozen, if so
	replay  []func(*Graph)
}

// stepStorage takes a shard a step further in being stored.
func (c *cluster) stepStorage(s shard.ID) {
	st := &c.storage[s]
	switch {
	case st.frozen == nil:
		if c.r.IntN(8) == 0 {
			c.freeze(s, c.r.IntN(c.s.loadEvery) == 0)
		}
	case c.r.IntN(60) == 0:
		st.frozen.Abort()
		c.aborts++
		if c.s.twins {
			st.twin.Abort()
		}
		st.frozen, st.batch, st.replay = nil, nil, nil
	case c.r.IntN(30) == 0:
		c.finishStoring(s)
	default:
		if !c.next(s, c.r.IntN(20)) {
			c.commit(s)
		}
	}
}

func (c *cluster) freeze(s shard.ID, load bool) {
	st := &c.storage[s]
	st.frozen = c.graphs[s].Freeze()
	if st.load = load; load {
		st.frozeAt = c.graphs[s].Checksum()
	}
	if c.s.twins {
		st.twin = c.twins[s].Freeze()
	}
}

func (c *cluster) finishStoring(s shard.ID) {
	if c.storage[s].frozen == nil {
		return
	}
	for c.next(s, 1000) {
	}
	c.commit(s)
}

var errEmit = errors.New("no room")

// next lets the frozen state emit records into the batch; now and then the disk fails.
func (c *cluster) next(s shard.ID, limit int) bool {
	st := &c.storage[s]
	start := len(st.batch)
	failAt := -1
	if c.r.IntN(5) == 0 {
		failAt = c.r.IntN(5)
	}
	more, err := st.frozen.Next(limit, func(key, value []byte) error {
		if len(st.batch)-start == failAt {
			return errEmit
		}
		st.batch = append(st.batch, record{string(key), bytes.Clone(value)})
		return nil
	})
	if err != nil && (err != errEmit || !more) || len(st.batch)-start > limit {
		c.t.Fatalf("next %d: %v, %v, %d records", limit, more, err, len(st.batch)-start)
	}
	if c.s.twins {
		c.compareTwin(st, start)
	}
	return more
}

// compareTwin makes the twin emit as much as the other just did.
func (c *cluster) compareTwin(st *modelStorage, start int) {
	i := start
	_, err := st.twin.Next(len(st.batch)-start, func(key, value []byte) error {
		if string(key) != st.batch[i].key || !bytes.Equal(value, st.batch[i].value) {
			c.t.Fatalf("twin stores %x = %x, not %x = %x", key, value, st.batch[i].key, st.batch[i].value)
		}
		i++
		return nil
	})
	if err != nil || i != len(st.batch) {
		c.t.Fatalf("twin stores %d records of %d: %v", i-start, len(st.batch)-start, err)
	}
}

// commit makes the batch part of what is stored.
func (c *cluster) commit(s shard.ID) {
	c.t.Helper()
	st := &c.storage[s]
	for i, rec := range st.batch {
		if i > 0 && rec.key <= st.batch[i-1].key {
			c.t.Fatalf("record %x after %x", rec.key, st.batch[i-1].key)
		}
		if rec.value == nil {
			delete(st.records, rec.key)
		} else {
			st.records[rec.key] = rec.value
		}
	}
	if len(st.frozen.saved) > 0 {
		c.t.Fatalf("%d old forms were saved for nothing", len(st.frozen.saved))
	}
	st.frozen.Commit()
	c.commits++
	if c.s.twins {
		for more := true; more; {
			more, _ = st.twin.Next(1, func(key, value []byte) error { c.t.Fatalf("twin stores more: %x", key); return nil })
		}
		st.twin.Commit()
	}
	replay := st.replay
	st.frozen, st.batch, st.replay = nil, nil, nil
	if st.load {
		c.compareLoaded(s, replay)
	}
}

// compareLoaded loads what is stored, compares it with what was frozen, replays
// what happened since and compares again; mostly the shard goes on from there.
func (c *cluster) compareLoaded(s shard.ID, replay []func(*Graph)) {
	c.t.Helper()
	c.loads++
	loaded := c.load(s)
	if want := c.storage[s].frozeAt; loaded.Checksum() != want {
		c.t.Fatalf("shard %d: loaded %x, frozen %x", s, loaded.Checksum(), want)
	}
	for _, change := range replay {
		change(loaded)
	}
	if got, want := loaded.Checksum(), c.graphs[s].Checksum(); got != want {
		c.t.Fatalf("shard %d: replayed %x, live %x", s, got, want)
	}
	if err := loaded.Check(); err != nil {
		c.t.Fatal(err)
	}
	if c.r.IntN(4) == 0 {
		return
	}
	c.graphs[s] = loaded
	if c.s.twins {
		c.twins[s] = c.load(s)
		for _, change := range replay {
			change(c.twins[s])
		}
	}
}

func (c *cluster) load(s shard.ID) *Graph {
	g, err := load(c.options(s), sortedRecords(c.storage[s].records))
	if err != nil {
		c.t.Fatalf("shard %d: %v", s, err)
	}
	return g
}

func (c *cluster) options(s shard.ID) Options {
	return Options{Layout: c.layout, Shard: s, FollowingLimit: 123}
}

func load(o Options, records []record) (*Graph, error) {
	l := NewLoader(o)
	for _, rec := range records {
		if err := l.Add([]byte(rec.key), rec.value); err != nil {
			return nil, err
		}
	}
	return l.Finish()
}

// sortedRecords returns a stored shard's records in the order of their keys.
func sortedRecords(records map[string][]byte) []record {
	var sorted []record
	for _, key := range slices.Sorted(maps.Keys(records)) {
		sorted = append(sorted, record{key, records[key]})
	}
	return sorted
}
