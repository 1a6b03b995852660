package shard

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxUserIDBytes is the longest user id that is accepted, in bytes.
const MaxUserIDBytes = 128

// CheckUserID returns nil if id can name a user: not empty, at most
// MaxUserIDBytes, valid UTF-8 and free of control characters (Unicode category
// Cc). Its errors wrap ErrUserID and say which rule was broken.
func CheckUserID(id []byte) error {
	switch {
	case len(id) == 0:
		return fmt.Errorf("%w: it is empty", ErrUserID)
	case len(id) > MaxUserIDBytes:
		return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrUserID, len(id), MaxUserIDBytes)
	case isPlainASCII(id):
		return nil
	}
	for rest := id; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("%w: it is not valid UTF-8", ErrUserID)
		}
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: it has the control character %U", ErrUserID, r)
		}
		rest = rest[size:]
	}
	return nil
}

// isPlainASCII is the fast path: nearly every id is printable ASCII.
func isPlainASCII(id []byte) bool {
	for _, b := range id {
		if b < 0x20 || b >= 0x7f {
			return false
		}
	}
	return true
}
