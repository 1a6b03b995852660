package wire

import "strconv"

// Code is the outcome of a request, or of one user id in it.
type Code uint8

// The codes. Their numbers are part of the protocol.
const (
	// OK says that it was done.
	OK Code = 0
	// BadRequest says that the request, or the user id, is malformed or over a limit.
	BadRequest Code = 1
	// SelfFollow says that a user cannot follow itself.
	SelfFollow Code = 2
	// BadCursor says that the cursor is forged or damaged.
	BadCursor Code = 3
	// Denied says that the credentials do not allow it.
	Denied Code = 4
	// Unavailable says that nothing was done: no leader, shutting down or overloaded.
	Unavailable Code = 5
	// Timeout says that the outcome is not known.
	Timeout Code = 6
	// FollowingFull says that the user follows as many users as it may.
	FollowingFull Code = 7
	// NotLeader says that another node leads the shard; the error carries its address.
	NotLeader Code = 8

	codeCount = 9
)

// CodeMask is the part of a reply's type byte that holds the code.
const CodeMask uint8 = 0x3f

// noREST marks the code that the REST twin of the protocol does not have.
const noREST = -1

// codeInfo is what is known of a code: its name, the number of the REST twin, and
// whether to send the same request again is both safe and of use.
type codeInfo struct {
	name  string
	rest  int
	retry bool
}

// codes is never written to.
var codes = [codeCount]codeInfo{
	OK:            {"ok", 0, false},
	BadRequest:    {"bad_request", 30001, false},
	SelfFollow:    {"self_follow", 30001, false},
	BadCursor:     {"bad_cursor", 30001, false},
	Denied:        {"denied", 30004, false},
	Unavailable:   {"unavailable", 30006, true},
	Timeout:       {"timeout", 30007, true},
	FollowingFull: {"following_full", 32100, false},
	NotLeader:     {"not_leader", noREST, true},
}

// String returns the code's name, as the protocol, the command line and the Go
// client write it.
func (c Code) String() string {
	if c < codeCount {
		return codes[c].name
	}
	return "code_" + strconv.Itoa(int(c))
}

// SafeToRetry reports whether to send the same request again is safe and of use.
// It is so for codes that may pass by themselves; all writes are idempotent. A
// code that this package does not know is not.
func (c Code) SafeToRetry() bool { return c < codeCount && codes[c].retry }

// REST returns the number that the protocol's REST twin uses for the same thing,
// for gateways that translate. It has none for not_leader and for unknown codes.
func (c Code) REST() (number int, ok bool) {
	if c >= codeCount || codes[c].rest == noREST {
		return 0, false
	}
	return codes[c].rest, true
}

// Codes returns all codes in the order of their numbers.
func Codes() []Code {
	all := make([]Code, codeCount)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}
