package server

import (
	"net"
)

// smallBufferBytes is what a connection reads into while it sends little. Its
// buffer is part of the connection; all larger ones are borrowed.
const smallBufferBytes = 1 << 10

// readBuffer holds what has arrived on a connection and is not served yet. It
// grows with what was received, never with what a header announces: from the
// small buffer to one of the pool, and from there by doubling, charged to the
// budget of all connections. It belongs to the read loop.
type readBuffer struct {
	pool   *bufferPool
	memory *budget

	b          []byte // small, borrowed.b or an own allocation
	start, end int    // b[start:end] is unserved
	borrowed   *buffer
	charged    int
	filled     bool // the last read took all the room it had
	small      [smallBufferBytes]byte
}

// bytes returns what is unserved. It is valid until makeRoom.
func (r *readBuffer) bytes() []byte { return r.b[r.start:r.end] }

// consume drops the first n bytes of bytes.
func (r *readBuffer) consume(n int) { r.start += n }

// read waits for more bytes. makeRoom must have been called.
func (r *readBuffer) read(nc net.Conn) (int, error) {
	n, err := nc.Read(r.b[r.end:])
	if n > 0 {
		r.filled = n == len(r.b)-r.end
		r.end += n
	}
	return n, err
}

// makeRoom moves the unserved bytes to the front and sees to it that more fit
// behind them: at most maxBytes in all. It fails with errNoMemory when
// all connections together hold too much.
func (r *readBuffer) makeRoom(maxBytes int) error {
	kept := r.bytes()
	size := len(r.b)
	switch {
	case len(kept) == 0 && !r.filled && size != smallBufferBytes:
		size = smallBufferBytes // quiet: give the large buffer back
	case r.filled && size <= smallBufferBytes:
		size = r.pool.sizeBytes
	case len(kept) == 0 && r.charged > 0:
		size = r.pool.sizeBytes // the large frame is done
	case len(kept) == size:
		size = max(min(2*size, maxBytes), r.pool.sizeBytes)
	}
	if size == len(r.b) {
		copy(r.b, kept)
	} else if err := r.resize(size, kept); err != nil {
		return err
	}
	r.start, r.end = 0, len(kept)
	return nil
}

func (r *readBuffer) resize(size int, kept []byte) error {
	var b []byte
	var borrowed *buffer
	charged := 0
	switch {
	case size <= smallBufferBytes:
		b = r.small[:]
	case size <= r.pool.sizeBytes:
		borrowed = r.pool.get()
		b = borrowed.b[:r.pool.sizeBytes]
	case !r.memory.take(size):
		return errNoMemory
	default:
		b, charged = make([]byte, size), size
	}
	copy(b, kept)
	r.release()
	r.b, r.borrowed, r.charged = b, borrowed, charged
	return nil
}

// borrowedBytes is the size of the buffer that is borrowed.
func (r *readBuffer) borrowedBytes() int {
	if r.borrowed == nil {
		return 0
	}
	return cap(r.borrowed.b)
}

// release gives back what is borrowed. The buffer is empty after it.
func (r *readBuffer) release() {
	if r.borrowed != nil {
		r.pool.put(r.borrowed)
	}
	if r.charged > 0 {
		r.memory.give(r.charged)
	}
	r.b, r.borrowed, r.charged, r.start, r.end = nil, nil, 0, 0, 0
}
