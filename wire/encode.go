package wire

import "unicode/utf8"

// appendUvarint appends n, which is from 0 to MaxBodyBytes, in base 128: seven bits
// a byte, low bits first, the high bit set in all bytes but the last.
func appendUvarint(dst []byte, n int) []byte {
	v := uint32(n)
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func appendBytes(dst, b []byte) []byte {
	return append(appendUvarint(dst, len(b)), b...)
}

// appendText appends a string, cut to MaxTextBytes at the end of a character.
func appendText(dst []byte, s string) []byte {
	if len(s) > MaxTextBytes {
		n := MaxTextBytes
		for n > MaxTextBytes-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return append(appendUvarint(dst, len(s)), s...)
}

func appendUserIDs(dst []byte, ids [][]byte) []byte {
	dst = appendUvarint(dst, len(ids))
	for _, id := range ids {
		dst = appendBytes(dst, id)
	}
	return dst
}
