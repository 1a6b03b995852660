package wire

import "encoding/binary"

// ImportRow is one follow to import.
type ImportRow struct {
	Follower, Followee []byte
	// Time is in seconds since 1970 UTC; 0 is the time at which the cluster commits it.
	Time uint32
}

// minImportRowBytes is what the shortest row takes.
const minImportRowBytes = 1 + 1 + 4

// ImportRequest asks for many follows by many users. Rows are independent of each
// other, as if each were a follow of its own.
type ImportRequest struct {
	// Flags: FlagNoWait.
	Flags uint8
	// Rows are 1 to MaxImportRows.
	Rows []ImportRow
}

// Append appends the message's body.
func (m *ImportRequest) Append(dst []byte) []byte {
	dst = appendUvarint(append(dst, m.Flags), len(m.Rows))
	for i := range m.Rows {
		row := &m.Rows[i]
		dst = appendBytes(dst, row.Follower)
		dst = appendBytes(dst, row.Followee)
		dst = binary.LittleEndian.AppendUint32(dst, row.Time)
	}
	return dst
}

// Decode reads the message from a whole body.
func (m *ImportRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.flags(FlagNoWait)
	m.Rows = m.Rows[:0]
	for n := d.someOf(minImportRowBytes, "rows in an import", MaxImportRows); n > 0 && d.err == nil; n-- {
		m.Rows = append(m.Rows, ImportRow{Follower: d.bytes(), Followee: d.bytes(), Time: d.u32()})
	}
	return d.end("import")
}
