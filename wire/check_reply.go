package wire

// CheckResult is the relationship with one user: a FollowType, or why there is none.
type CheckResult uint8

// checkRefused is set in a result that holds a Code in its other bits.
const checkRefused CheckResult = 0x80

// CheckRefused returns the result for a user id that is refused.
func CheckRefused(code Code) CheckResult { return checkRefused | CheckResult(code) }

// Code returns OK, or why the user id was refused.
func (r CheckResult) Code() Code {
	if r&checkRefused == 0 {
		return OK
	}
	return Code(r &^ checkRefused)
}

// FollowType returns the relationship; FollowTypeNone when the user id was refused.
func (r CheckResult) FollowType() FollowType {
	if r&checkRefused != 0 {
		return FollowTypeNone
	}
	return FollowType(r)
}

// CheckReply answers a CheckRequest.
type CheckReply struct {
	// Results has one entry for each user id of the request, in its order.
	Results []CheckResult
}

// Append appends the message's body.
func (m *CheckReply) Append(dst []byte) []byte {
	dst = appendUvarint(append(dst, 0), len(m.Results))
	for _, r := range m.Results {
		dst = append(dst, byte(r))
	}
	return dst
}

// Decode reads the message from a whole body.
func (m *CheckReply) Decode(body []byte) error {
	d := decoder{b: body}
	d.flags(0)
	m.Results = m.Results[:0]
	for _, b := range d.take(d.count(1, "results", MaxIDs)) {
		m.Results = append(m.Results, CheckResult(b))
	}
	return d.end("reply to check")
}
