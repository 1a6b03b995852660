package wire

// EdgeRequest asks for a follow or an unfollow of some users by me.
type EdgeRequest struct {
	// Flags: FlagNoWait.
	Flags uint8
	// Me is the user on whose behalf the request is made.
	Me []byte
	// UserIDs are the users to follow or unfollow, 1 to MaxFollowIDs.
	UserIDs [][]byte
}

// Append appends the message's body.
func (m *EdgeRequest) Append(dst []byte) []byte {
	dst = append(dst, m.Flags)
	dst = appendBytes(dst, m.Me)
	return appendUserIDs(dst, m.UserIDs)
}

// Decode reads the message from a whole body.
func (m *EdgeRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.flags(FlagNoWait)
	m.Me = d.bytes()
	m.UserIDs = d.userIDs(m.UserIDs, 1, "user ids in a follow or an unfollow", MaxFollowIDs)
	return d.end("follow or unfollow")
}
