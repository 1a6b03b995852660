package wire

// empty is a message without fields.
type empty struct{}

// Append appends the message's body, which is empty.
func (empty) Append(dst []byte) []byte { return dst }

// Decode checks that the body is empty.
func (empty) Decode(body []byte) error {
	d := decoder{b: body}
	return d.end("message without fields")
}

// Ping asks whether the server is there, and keeps an idle connection open.
type Ping struct{ empty }

// PingReply answers a ping.
type PingReply struct{ empty }
