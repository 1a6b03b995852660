package wire

import "encoding/binary"

// InfoItem is what is known of one user.
type InfoItem struct {
	// Code is OK, or why there are no counts.
	Code                         Code
	Followers, Following, Mutual uint32
}

// infoItemBytes is what an item takes.
const infoItemBytes = 1 + 3*4

// InfoReply answers an InfoRequest.
type InfoReply struct {
	// Items has one entry for each user id of the request, in its order.
	Items []InfoItem
}

// Append appends the message's body.
func (m *InfoReply) Append(dst []byte) []byte {
	dst = appendUvarint(append(dst, 0), len(m.Items))
	for _, it := range m.Items {
		dst = append(dst, byte(it.Code))
		dst = binary.LittleEndian.AppendUint32(dst, it.Followers)
		dst = binary.LittleEndian.AppendUint32(dst, it.Following)
		dst = binary.LittleEndian.AppendUint32(dst, it.Mutual)
	}
	return dst
}

// Decode reads the message from a whole body.
func (m *InfoReply) Decode(body []byte) error {
	d := decoder{b: body}
	d.flags(0)
	m.Items = m.Items[:0]
	for n := d.count(infoItemBytes, "items in an info", MaxIDs); n > 0 && d.err == nil; n-- {
		m.Items = append(m.Items, InfoItem{Code: Code(d.u8()), Followers: d.u32(), Following: d.u32(), Mutual: d.u32()})
	}
	return d.end("reply to info")
}
