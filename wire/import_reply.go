package wire

// ImportReply answers an ImportRequest.
type ImportReply struct {
	// Pending is as in EdgeReply.
	Pending bool
	// Results has one entry for each row of the request, in its order.
	Results []EdgeResult
}

// Append appends the message's body.
func (m *ImportReply) Append(dst []byte) []byte {
	return appendEdgeResults(dst, m.Pending, m.Results)
}

// Decode reads the message from a whole body.
func (m *ImportReply) Decode(body []byte) error {
	d := decoder{b: body}
	m.Pending, m.Results = d.edgeResults(m.Results, MaxImportRows)
	return d.end("reply to import")
}
