package wire

// EdgeResult is what became of one user id or row: a Code, and whether the graph
// was as asked for already.
type EdgeResult uint8

// edgeUnchanged is set in a result of OK when nothing changed.
const edgeUnchanged EdgeResult = 0x80

// MakeEdgeResult returns a result. Unchanged says that the user was followed
// already, or was not followed.
func MakeEdgeResult(code Code, unchanged bool) EdgeResult {
	r := EdgeResult(code) &^ edgeUnchanged
	if unchanged {
		r |= edgeUnchanged
	}
	return r
}

// Code returns the result's code.
func (r EdgeResult) Code() Code { return Code(r &^ edgeUnchanged) }

// Unchanged reports whether the user was followed already, or was not followed.
func (r EdgeResult) Unchanged() bool { return r&edgeUnchanged != 0 }

// replyPending is the flag of EdgeReply.Pending and ImportReply.Pending.
const replyPending uint8 = 1 << 0

// EdgeReply answers an EdgeRequest.
type EdgeReply struct {
	// Pending says that all changes are durable but some of the other users' lists
	// may not show them yet.
	Pending bool
	// Results has one entry for each user id of the request, in its order.
	Results []EdgeResult
}

// Append appends the message's body.
func (m *EdgeReply) Append(dst []byte) []byte {
	return appendEdgeResults(dst, m.Pending, m.Results)
}

// Decode reads the message from a whole body.
func (m *EdgeReply) Decode(body []byte) error {
	d := decoder{b: body}
	m.Pending, m.Results = d.edgeResults(m.Results, MaxFollowIDs)
	return d.end("reply to follow or unfollow")
}

// appendEdgeResults appends the body that EdgeReply and ImportReply share.
func appendEdgeResults(dst []byte, pending bool, results []EdgeResult) []byte {
	var flags uint8
	if pending {
		flags = replyPending
	}
	dst = appendUvarint(append(dst, flags), len(results))
	for _, r := range results {
		dst = append(dst, byte(r))
	}
	return dst
}

func (d *decoder) edgeResults(results []EdgeResult, limit int) (pending bool, _ []EdgeResult) {
	pending = d.flags(replyPending) != 0
	results = results[:0]
	for _, b := range d.take(d.count(1, "results", limit)) {
		results = append(results, EdgeResult(b))
	}
	return pending, results
}
