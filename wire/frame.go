package wire

import (
	"encoding/binary"
	"strconv"
)

const (
	// HeaderBytes is the length of a frame's header.
	HeaderBytes = 8
	// StatusMore is set in the type byte of a reply that is followed by more frames
	// of the same request.
	StatusMore uint8 = 0x40
	// ConnectionID is the request id of an error that concerns the connection as a
	// whole. No request uses it.
	ConnectionID uint32 = 0
)

// Message is what every message is. Append writes the body behind dst. Decode
// reads a whole body; it reuses the message's slices and aliases the body.
type Message interface {
	Append(dst []byte) []byte
	Decode(body []byte) error
}

// Header is what a frame begins with.
type Header struct {
	// Length of the body in bytes.
	Length uint32
	// Type of a request (see Type), or the Code of a reply with StatusMore.
	Type uint8
	// ID of the request, chosen by the client; a reply repeats it.
	ID uint32
}

// ParseHeader reads the header at the start of b, which holds at least HeaderBytes.
func ParseHeader(b []byte) Header {
	word := binary.LittleEndian.Uint64(b)
	return Header{Length: uint32(word) & MaxBodyBytes, Type: uint8(word >> 24), ID: uint32(word >> 32)}
}

// Code returns the code of a reply's header.
func (h Header) Code() Code { return Code(h.Type & CodeMask) }

// More reports whether a reply is followed by more frames of the same request.
func (h Header) More() bool { return h.Type&StatusMore != 0 }

// BeginFrame appends a header whose length EndFrame fills in. The body is to be
// appended next.
func BeginFrame(dst []byte, typ uint8, id uint32) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(typ)<<24|uint64(id)<<32)
}

// BeginRequest begins the frame of a request.
func BeginRequest(dst []byte, t Type, id uint32) []byte { return BeginFrame(dst, uint8(t), id) }

// BeginReply begins the frame of a reply. More says that more frames of the same
// request follow.
func BeginReply(dst []byte, code Code, more bool, id uint32) []byte {
	typ := uint8(code) & CodeMask
	if more {
		typ |= StatusMore
	}
	return BeginFrame(dst, typ, id)
}

// EndFrame fills in the length of the frame that began when dst was start bytes
// long. A body over MaxBodyBytes is a fault of the caller, and panics.
func EndFrame(dst []byte, start int) []byte {
	n := len(dst) - start - HeaderBytes
	if n < 0 || n > MaxBodyBytes {
		panic("wire: a frame's body of " + strconv.Itoa(n) + " bytes")
	}
	dst[start], dst[start+1], dst[start+2] = byte(n), byte(n>>8), byte(n>>16)
	return dst
}

// AppendRequest appends the whole frame of a request.
func AppendRequest(dst []byte, t Type, id uint32, m Message) []byte {
	start := len(dst)
	return EndFrame(m.Append(BeginRequest(dst, t, id)), start)
}

// AppendReply appends the whole frame of a reply that is the last of its request.
func AppendReply(dst []byte, code Code, id uint32, m Message) []byte {
	start := len(dst)
	return EndFrame(m.Append(BeginReply(dst, code, false, id)), start)
}

// NextFrame splits the first frame off buf; body and rest alias it. When it has
// not wholly arrived the error is ErrIncomplete, and h is filled in if its header
// has. When it announces more than maxBody bytes the error is ErrFrameTooLarge, as
// soon as the header is there. Nothing is allocated.
func NextFrame(buf []byte, maxBody uint32) (h Header, body, rest []byte, err error) {
	if len(buf) < HeaderBytes {
		return Header{}, nil, buf, ErrIncomplete
	}
	h = ParseHeader(buf)
	if h.Length > maxBody {
		return h, nil, buf, ErrFrameTooLarge
	}
	end := HeaderBytes + int(h.Length)
	if len(buf) < end {
		return h, nil, buf, ErrIncomplete
	}
	return h, buf[HeaderBytes:end:end], buf[end:], nil
}

// NextOpening splits the magic and the first frame off buf, which holds what the
// other side has sent so far; server and client both use it. A wrong protocol is
// told by its first byte that differs (ErrBadMagic), however few have arrived. The
// frame is bounded by MaxOpeningBytes. The other errors are NextFrame's.
func NextOpening(buf []byte) (h Header, body, rest []byte, err error) {
	n := min(len(buf), len(Magic))
	if string(buf[:n]) != Magic[:n] {
		return Header{}, nil, buf, ErrBadMagic
	}
	if n < len(Magic) {
		return Header{}, nil, buf, ErrIncomplete
	}
	h, body, rest, err = NextFrame(buf[n:], MaxOpeningBytes)
	if err != nil {
		rest = buf
	}
	return h, body, rest, err
}
