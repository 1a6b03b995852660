package wire

import "encoding/binary"

// Credit allows the export that has the frame's request id to send further
// frames. It is not answered. Credit for an export that has ended is ignored.
type Credit struct {
	// Credits is the number of further frames. An export never holds more than
	// MaxCredits; what is above is lost.
	Credits uint32
}

// Append appends the message's body.
func (m *Credit) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(dst, m.Credits)
}

// Decode reads the message from a whole body.
func (m *Credit) Decode(body []byte) error {
	d := decoder{b: body}
	m.Credits = d.u32()
	return d.end("credit")
}
