package server

import (
	"iter"

	"github.com/kithgraph/kith/shard"
)

// buckets groups item numbers by shard, keeping their order, so that each
// shard's lock is taken once. It is reused and then allocates nothing.
type buckets struct {
	first, last []int32 // by shard; noItem when it has none
	next        []int32 // by item
	used        []shard.ID
}

const noItem = -1

func newBuckets(shards int) buckets {
	b := buckets{first: make([]int32, shards), last: make([]int32, shards), used: make([]shard.ID, 0, shards)}
	for s := range b.first {
		b.first[s] = noItem
	}
	return b
}

func (b *buckets) reset() {
	for _, s := range b.used {
		b.first[s] = noItem
	}
	b.used, b.next = b.used[:0], b.next[:0]
}

// add puts an item into a shard's bucket. Items are added in ascending order,
// each at most once; numbers may be left out.
func (b *buckets) add(s shard.ID, item int) {
	for len(b.next) <= item {
		b.next = append(b.next, noItem)
	}
	if b.first[s] == noItem {
		b.used = append(b.used, s)
		b.first[s] = int32(item)
	} else {
		b.next[b.last[s]] = int32(item)
	}
	b.last[s] = int32(item)
}

// shards returns the shards that have items.
func (b *buckets) shards() []shard.ID { return b.used }

// of returns the items of a shard in the order in which they were added.
func (b *buckets) of(s shard.ID) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := b.first[s]; i != noItem; i = b.next[i] {
			if !yield(int(i)) {
				return
			}
		}
	}
}
