package wire

import (
	"encoding/binary"
	"fmt"
)

// decoder reads fields off the front of a body. It keeps the first error; from
// then on every field is zero, so that a message checks for it once, at its end.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

// take returns the next n bytes, aliasing the body; nil when there are fewer.
func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail(ErrTruncated)
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) u8() uint8 {
	if len(d.b) < 1 {
		d.fail(ErrTruncated)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a length or a count, in its shortest form; any longer form is
// refused, so that equal messages have equal bytes. Nothing in a frame can be
// longer than the longest frame, so neither can the number be larger.
func (d *decoder) uvarint() int {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := d.b[0]
		d.b = d.b[1:]
		return int(v)
	}
	return d.longUvarint()
}

// maxUvarintBytes is what MaxBodyBytes takes.
const maxUvarintBytes = 4

func (d *decoder) longUvarint() int {
	v, n := binary.Uvarint(d.b)
	switch {
	case n == 0 && len(d.b) < maxUvarintBytes:
		d.fail(ErrTruncated)
	case n <= 0 || v > MaxBodyBytes || d.b[n-1] == 0:
		d.fail(ErrMalformed)
	default:
		d.b = d.b[n:]
		return int(v)
	}
	return 0
}

// bytes reads a byte string, aliasing the body.
func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

// text reads a string of at most MaxTextBytes. It returns old when that is what it
// reads, which saves a struct that is used again from allocating.
func (d *decoder) text(old string) string {
	b := d.bytes()
	if len(b) > MaxTextBytes {
		d.fail(&LimitError{What: "bytes of text", Limit: MaxTextBytes})
		return ""
	}
	if string(b) == old {
		return old
	}
	return string(b)
}

// count reads the length of a list of at most limit elements, each of at least
// minBytes. A count for which the body has too few bytes left is refused before
// anything is read or allocated for it.
func (d *decoder) count(minBytes int, what string, limit int) int {
	n := d.uvarint()
	switch {
	case n > limit:
		d.fail(&LimitError{What: what, Limit: limit})
	case n*minBytes > len(d.b):
		d.fail(ErrTruncated)
	default:
		return n
	}
	return 0
}

// someOf is count for a list that must not be empty.
func (d *decoder) someOf(minBytes int, what string, limit int) int {
	n := d.count(minBytes, what, limit)
	if n == 0 {
		d.fail(ErrEmptyList)
	}
	return n
}

// userIDs reads a list of at least least (0 or 1) and at most limit user ids into dst.
func (d *decoder) userIDs(dst [][]byte, least int, what string, limit int) [][]byte {
	n := d.count(1, what, limit)
	if n < least {
		d.fail(ErrEmptyList)
	}
	dst = dst[:0]
	for ; n > 0 && d.err == nil; n-- {
		dst = append(dst, d.bytes())
	}
	return dst
}

// flags reads a flags byte and refuses all bits that are not known.
func (d *decoder) flags(known uint8) uint8 {
	f := d.u8()
	if f&^known != 0 {
		d.fail(ErrReservedFlags)
	}
	return f
}

// readFlags reads the flags of a read request: a consistency level.
func (d *decoder) readFlags() uint8 {
	f := d.flags(ReadMask)
	if f&ReadMask == ReadMask {
		d.fail(ErrReservedFlags)
	}
	return f
}

// end returns the first error, or that the body goes on. The name is the message's.
func (d *decoder) end(name string) error {
	if d.err == nil && len(d.b) > 0 {
		d.err = ErrTrailingBytes
	}
	if d.err != nil {
		return fmt.Errorf("%s: %w", name, d.err)
	}
	return nil
}
