package wire

// InfoRequest asks for the counts of some users.
type InfoRequest struct {
	// Flags: a consistency level.
	Flags uint8
	// UserIDs are the users, at most MaxIDs. None stands for the user that the
	// connection's credentials name.
	UserIDs [][]byte
}

// Append appends the message's body.
func (m *InfoRequest) Append(dst []byte) []byte {
	return appendUserIDs(append(dst, m.Flags), m.UserIDs)
}

// Decode reads the message from a whole body.
func (m *InfoRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.readFlags()
	m.UserIDs = d.userIDs(m.UserIDs, 0, "user ids in an info", MaxIDs)
	return d.end("info")
}
