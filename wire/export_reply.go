package wire

import (
	"bytes"
	"encoding/binary"
)

// ExportRow is one follow.
type ExportRow struct {
	Follower, Followee []byte
	// Time is in seconds since 1970 UTC.
	Time uint32
}

const (
	// minExportRowBytes is what the shortest row takes within its group.
	minExportRowBytes = 1 + 4
	// minExportGroupBytes is what the shortest group takes.
	minExportGroupBytes = 1 + 1 + minExportRowBytes
	// exportRowsName is what a LimitError calls the rows of a frame.
	exportRowsName = "rows in an export frame"
)

// ExportReply is one frame of an export. All but the last have StatusMore set.
type ExportReply struct {
	// Next is where an export that is cut off after this frame goes on.
	Next ExportPosition
	// Rows are at most MaxExportRows. Neighbouring rows with the same follower are
	// written as one group, which names the follower once.
	Rows []ExportRow
}

// Append appends the message's body.
func (m *ExportReply) Append(dst []byte) []byte {
	dst = m.Next.append(append(dst, 0))
	groups := 0
	for rest := m.Rows; len(rest) > 0; groups++ {
		rest = rest[groupLen(rest):]
	}
	dst = appendUvarint(dst, groups)
	for rest := m.Rows; len(rest) > 0; {
		n := groupLen(rest)
		dst = appendBytes(dst, rest[0].Follower)
		dst = appendUvarint(dst, n)
		for i := range rest[:n] {
			dst = appendBytes(dst, rest[i].Followee)
			dst = binary.LittleEndian.AppendUint32(dst, rest[i].Time)
		}
		rest = rest[n:]
	}
	return dst
}

// groupLen returns how many rows at the start have the same follower.
func groupLen(rows []ExportRow) int {
	n := 1
	for n < len(rows) && bytes.Equal(rows[n].Follower, rows[0].Follower) {
		n++
	}
	return n
}

// Decode reads the message from a whole body.
func (m *ExportReply) Decode(body []byte) error {
	d := decoder{b: body}
	d.flags(0)
	m.Next = d.exportPosition()
	m.Rows = m.Rows[:0]
	for n := d.count(minExportGroupBytes, "groups in an export frame", MaxExportRows); n > 0 && d.err == nil; n-- {
		m.decodeGroup(&d)
	}
	return d.end("reply to export")
}

// decodeGroup reads the rows of one follower. A group that is empty or that
// continues the one before it is refused, so that equal rows have equal bytes.
func (m *ExportReply) decodeGroup(d *decoder) {
	follower := d.bytes()
	if last := len(m.Rows) - 1; last >= 0 && bytes.Equal(m.Rows[last].Follower, follower) {
		d.fail(ErrMalformed)
	}
	n := d.count(minExportRowBytes, exportRowsName, MaxExportRows)
	switch {
	case n == 0:
		d.fail(ErrMalformed)
	case len(m.Rows)+n > MaxExportRows:
		d.fail(&LimitError{What: exportRowsName, Limit: MaxExportRows})
	}
	for ; n > 0 && d.err == nil; n-- {
		m.Rows = append(m.Rows, ExportRow{Follower: follower, Followee: d.bytes(), Time: d.u32()})
	}
}
