package wire

import "encoding/binary"

// ListItem is one user in a list.
type ListItem struct {
	UserID []byte
	// FollowTime is in seconds since 1970 UTC.
	FollowTime uint32
}

// minListItemBytes is what the shortest item takes.
const minListItemBytes = 1 + 4

// ListReply is a page of a list, newest first.
type ListReply struct {
	// Total is the length of the whole list.
	Total uint32
	// NextCursor leads to the next page; empty at the list's end.
	NextCursor []byte
	// Items are at most MaxPage.
	Items []ListItem
}

// Append appends the message's body.
func (m *ListReply) Append(dst []byte) []byte {
	dst = append(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, m.Total)
	dst = appendBytes(dst, m.NextCursor)
	dst = appendUvarint(dst, len(m.Items))
	for i := range m.Items {
		dst = appendBytes(dst, m.Items[i].UserID)
		dst = binary.LittleEndian.AppendUint32(dst, m.Items[i].FollowTime)
	}
	return dst
}

// Decode reads the message from a whole body.
func (m *ListReply) Decode(body []byte) error {
	d := decoder{b: body}
	d.flags(0)
	m.Total = d.u32()
	m.NextCursor = d.bytes()
	m.Items = m.Items[:0]
	for n := d.count(minListItemBytes, "items in a page", MaxPage); n > 0 && d.err == nil; n-- {
		m.Items = append(m.Items, ListItem{UserID: d.bytes(), FollowTime: d.u32()})
	}
	return d.end("reply to list")
}
