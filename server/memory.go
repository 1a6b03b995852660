package server

import (
	"sync"
	"sync/atomic"
)

// budget is memory that all connections share. Safe for concurrent use.
type budget struct {
	left atomic.Int64
}

func newBudget(sizeBytes int64) *budget {
	b := &budget{}
	b.left.Store(sizeBytes)
	return b
}

// take reserves n bytes, or nothing when there are not as many left.
func (b *budget) take(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

func (b *budget) give(n int) { b.left.Add(int64(n)) }

// buffer is a byte slice that is lent by a bufferPool.
type buffer struct {
	b []byte
}

// bufferPool lends buffers, so that a connection has none while it is idle.
type bufferPool struct {
	pool      sync.Pool
	sizeBytes int // of a new buffer
	keepBytes int // larger ones are not kept
}

func (p *bufferPool) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, p.sizeBytes)}
}

func (p *bufferPool) put(b *buffer) {
	if cap(b.b) > p.keepBytes {
		return
	}
	b.b = b.b[:0]
	p.pool.Put(b)
}
