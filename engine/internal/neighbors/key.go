package neighbors

// Key is a member with its place in the order of a list: the follow time in
// seconds since 1970 UTC in the high 32 bits, the uid in the low ones.
type Key uint64

// MakeKey returns the key of a member.
func MakeKey(time, uid uint32) Key { return Key(time)<<32 | Key(uid) }

// Time is the follow time in seconds since 1970 UTC.
func (k Key) Time() uint32 { return uint32(k >> 32) }

// UID is the member.
func (k Key) UID() uint32 { return uint32(k) }
