package wire

// ErrorReply is the body of every reply whose code is not ok.
type ErrorReply struct {
	// Message says to people what is wrong and what to do. Programs go by the code.
	Message string
	// Leader is the address to turn to when the code is not_leader; empty when it is
	// not known, and for other codes.
	Leader string
}

// Append appends the message's body. Texts are cut at MaxTextBytes.
func (m *ErrorReply) Append(dst []byte) []byte {
	return appendText(appendText(dst, m.Message), m.Leader)
}

// Decode reads the message from a whole body.
func (m *ErrorReply) Decode(body []byte) error {
	d := decoder{b: body}
	m.Message = d.text(m.Message)
	m.Leader = d.text(m.Leader)
	return d.end("error reply")
}
