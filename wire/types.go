package wire

import "strconv"

// Type says what a request frame asks for.
type Type uint8

// The types of requests. Their numbers are part of the protocol.
const (
	TypeHello     Type = 1  // Hello, answered by HelloReply
	TypePing      Type = 2  // Ping, answered by PingReply
	TypeStatus    Type = 3  // StatusRequest, answered by Status
	TypeFollow    Type = 16 // EdgeRequest, answered by EdgeReply
	TypeUnfollow  Type = 17 // EdgeRequest, answered by EdgeReply
	TypeFollowers Type = 18 // ListRequest, answered by ListReply
	TypeFollowing Type = 19 // ListRequest, answered by ListReply
	TypeMutuals   Type = 20 // ListRequest, answered by ListReply
	TypeInfo      Type = 21 // InfoRequest, answered by InfoReply
	TypeCheck     Type = 22 // CheckRequest, answered by CheckReply
	TypeImport    Type = 32 // ImportRequest, answered by ImportReply
	TypeExport    Type = 33 // ExportRequest, answered by a stream of ExportReply
	TypeCredit    Type = 34 // Credit, for the export of the same request id; not answered
	TypeCancel    Type = 35 // Cancel, of the export of the same request id; not answered
)

// String returns the request's name.
func (t Type) String() string {
	switch t {
	case TypeHello:
		return "hello"
	case TypePing:
		return "ping"
	case TypeStatus:
		return "status"
	case TypeFollow:
		return "follow"
	case TypeUnfollow:
		return "unfollow"
	case TypeFollowers:
		return "followers"
	case TypeFollowing:
		return "following"
	case TypeMutuals:
		return "mutuals"
	case TypeInfo:
		return "info"
	case TypeCheck:
		return "check"
	case TypeImport:
		return "import"
	case TypeExport:
		return "export"
	case TypeCredit:
		return "credit"
	case TypeCancel:
		return "cancel"
	}
	return "type_" + strconv.Itoa(int(t))
}

// Flags of write requests: EdgeRequest and ImportRequest.
const (
	// FlagNoWait asks for the answer as soon as the change is durable, without
	// waiting until the other user's lists show it.
	FlagNoWait uint8 = 1 << 0
)

// Consistency levels of reads, in the low two bits of a read request's flags.
const (
	// ReadDefault is answered by the shard's leader from memory.
	ReadDefault uint8 = 0
	// ReadConsistent is answered after the leader has confirmed with a quorum that
	// it still is the leader.
	ReadConsistent uint8 = 1
	// ReadStale may be answered by any replica, from some earlier state.
	ReadStale uint8 = 2
	// ReadMask covers the bits that hold the level.
	ReadMask uint8 = 3
)

// FollowType is the relationship of another user as seen by me.
type FollowType uint8

// The follow types. Bit 0 is set when the other user follows me, bit 1 when I
// follow it.
const (
	FollowTypeNone      FollowType = 0
	FollowTypeFollower  FollowType = 1
	FollowTypeFollowing FollowType = 2
	FollowTypeMutual    FollowType = 3
)
