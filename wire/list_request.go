package wire

import "encoding/binary"

// ListRequest asks for a page of a user's followers, following or mutuals.
type ListRequest struct {
	// Flags: a consistency level.
	Flags uint8
	// User is whose list it is.
	User []byte
	// Cursor is the previous page's NextCursor; empty for the first page.
	Cursor []byte
	// Limit is the number of items, at most MaxPage; 0 is DefaultPage.
	Limit uint16
}

// Append appends the message's body.
func (m *ListRequest) Append(dst []byte) []byte {
	dst = append(dst, m.Flags)
	dst = appendBytes(dst, m.User)
	dst = appendBytes(dst, m.Cursor)
	return binary.LittleEndian.AppendUint16(dst, m.Limit)
}

// Decode reads the message from a whole body.
func (m *ListRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.readFlags()
	m.User = d.bytes()
	m.Cursor = d.bytes()
	m.Limit = d.u16()
	if m.Limit > MaxPage {
		d.fail(&LimitError{What: "items in a page", Limit: MaxPage})
	}
	return d.end("list")
}
