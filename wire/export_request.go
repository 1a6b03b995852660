package wire

import "encoding/binary"

// ExportPosition is a place in an export. The zero value is its start. To clients
// it is opaque, but for Done.
type ExportPosition struct {
	// Shard whose users are being exported.
	Shard uint16
	// User is the number of the user within its shard.
	User uint32
	// Before is where in the user's following list to go on, strictly older than that
	// place in its order; 0 is the list's start.
	Before uint64
}

// exportEnd is the shard of the position behind everything.
const exportEnd = ^uint16(0)

// ExportEnd returns the position behind everything.
func ExportEnd() ExportPosition { return ExportPosition{Shard: exportEnd} }

// Done reports whether nothing is left to export.
func (p ExportPosition) Done() bool { return p.Shard == exportEnd }

func (p ExportPosition) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, p.Shard)
	dst = binary.LittleEndian.AppendUint32(dst, p.User)
	return binary.LittleEndian.AppendUint64(dst, p.Before)
}

func (d *decoder) exportPosition() ExportPosition {
	return ExportPosition{Shard: d.u16(), User: d.u32(), Before: d.u64()}
}

// ExportRequest asks for all follows, as a stream of ExportReply.
type ExportRequest struct {
	// Flags: a consistency level.
	Flags uint8
	// Credits is how many frames the server may send before it gets more credit.
	Credits uint32
	// Start is the zero value, or the Next of the last frame of an export that was cut off.
	Start ExportPosition
}

// Append appends the message's body.
func (m *ExportRequest) Append(dst []byte) []byte {
	dst = append(dst, m.Flags)
	dst = binary.LittleEndian.AppendUint32(dst, m.Credits)
	return m.Start.append(dst)
}

// Decode reads the message from a whole body.
func (m *ExportRequest) Decode(body []byte) error {
	d := decoder{b: body}
	m.Flags = d.readFlags()
	m.Credits = d.u32()
	m.Start = d.exportPosition()
	return d.end("export")
}
