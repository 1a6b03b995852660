package wire

// CheckRequest asks for the relationship of me with some users.
type CheckRequest struct {
	// Flags: a consistency level.
	Flags uint8
	// Me is the user from whose side it is seen.
	Me []byte
	// UserIDs are the users to check, 1 to MaxIDs.
	UserIDs [][]byte
}

// Append appends the message's body.
func (m *CheckRequest) Append(dst []byte) []byte {
	dst = append(dst, m.Flags)
	dst = appendBytes(dst, m.Me)
	return appendUserIDs(dst, m.UserIDs)
}

// Decode reads the message from a whole body.
func (m *CheckRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.readFlags()
	m.Me = d.bytes()
	m.UserIDs = d.userIDs(m.UserIDs, 1, "user ids in a check", MaxIDs)
	return d.end("check")
}
