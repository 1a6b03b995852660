package client

// slotBits is how much of a request id is the number of its slot; the rest is
// the slot's generation, which tells the requests that used it one after another apart.
const slotBits = 16

// slot holds one request that the server has not answered for good.
type slot struct {
	call       *call   // nil once the caller has given up
	stream     *stream // the call's, which the call forgets when its caller leaves
	end        uint64  // see take
	generation uint16
	busy       bool
}

// slotTable finds the waiting call of an answer by its request id. A slot whose
// caller has given up stays taken until its answer has come, so a late answer
// can be told from garbage, and the number of requests that the server is at
// work on stays within its limit. Guarded by the mutex of its connection.
type slotTable struct {
	slots     []slot
	free      []uint16
	limit     int
	abandoned int
}

func (t *slotTable) full() bool { return len(t.free) == 0 && len(t.slots) >= t.limit }

// sick reports that most slots belong to requests that nobody waits for any
// more: the server does not answer, and a new connection may do better.
func (t *slotTable) sick() bool { return t.abandoned > t.limit/2 }

// take gives the call a slot and returns its request id. The table is not full.
// end is where the request's frame ends in the stream of all bytes sent.
func (t *slotTable) take(c *call, end uint64) uint32 {
	var i uint16
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint16(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	s := &t.slots[i]
	// Generation 0 is left out, for slot 0 would then use wire.ConnectionID.
	if s.generation++; s.generation == 0 {
		s.generation = 1
	}
	s.call, s.stream, s.end, s.busy = c, c.stream, end, true
	return uint32(s.generation)<<slotBits | uint32(i)
}

// find returns the slot of a request under way, or nil.
func (t *slotTable) find(id uint32) *slot {
	i := int(id & (1<<slotBits - 1))
	if i >= len(t.slots) {
		return nil
	}
	if s := &t.slots[i]; s.busy && s.generation == uint16(id>>slotBits) {
		return s
	}
	return nil
}

// release frees the slot of an answered request.
func (t *slotTable) release(id uint32) {
	s := t.find(id)
	if s.call == nil {
		t.abandoned--
	}
	s.call, s.stream, s.busy = nil, nil, false
	t.free = append(t.free, uint16(id&(1<<slotBits-1)))
}

// abandon forgets the caller of a request under way. False: it is answered already.
func (t *slotTable) abandon(id uint32, c *call) bool {
	s := t.find(id)
	if s == nil || s.call != c {
		return false
	}
	s.call, s.stream = nil, nil
	t.abandoned++
	return true
}
