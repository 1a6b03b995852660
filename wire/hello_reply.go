package wire

import "encoding/binary"

// HelloReply accepts a hello and tells what is in force on the connection.
type HelloReply struct {
	// Version of the protocol, and the feature bits, as agreed.
	Version  uint8
	Features uint32
	// MaxFrameBytes is the largest body in either direction, as agreed.
	MaxFrameBytes uint32
	// MaxInFlight is how many requests may wait for their answer at once. The server
	// reads no further while that many do.
	MaxInFlight uint32
	// MaxStreams is how many exports may run besides these.
	MaxStreams uint16
	// MaxIDs, MaxFollowIDs, MaxPage and MaxImportRows are the limits of requests.
	MaxIDs, MaxFollowIDs, MaxPage, MaxImportRows uint16
	// IdleTimeoutMillis is after how long without a frame the server closes a
	// connection on which nothing is in flight; 0 is never.
	IdleTimeoutMillis uint32
	// ClusterID and NodeID name whom the client has reached.
	ClusterID [16]byte
	NodeID    string
	// ServerVersion is for people to read.
	ServerVersion string
}

// Append appends the message's body.
func (m *HelloReply) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, m.Version)
	dst = le.AppendUint32(dst, m.Features)
	dst = le.AppendUint32(dst, m.MaxFrameBytes)
	dst = le.AppendUint32(dst, m.MaxInFlight)
	dst = le.AppendUint16(dst, m.MaxStreams)
	dst = le.AppendUint16(dst, m.MaxIDs)
	dst = le.AppendUint16(dst, m.MaxFollowIDs)
	dst = le.AppendUint16(dst, m.MaxPage)
	dst = le.AppendUint16(dst, m.MaxImportRows)
	dst = le.AppendUint32(dst, m.IdleTimeoutMillis)
	dst = append(dst, m.ClusterID[:]...)
	dst = appendText(dst, m.NodeID)
	return appendText(dst, m.ServerVersion)
}

// Decode reads the message from a whole body.
func (m *HelloReply) Decode(body []byte) error {
	d := decoder{b: body}
	m.Version = d.u8()
	m.Features, m.MaxFrameBytes, m.MaxInFlight = d.u32(), d.u32(), d.u32()
	m.MaxStreams, m.MaxIDs, m.MaxFollowIDs = d.u16(), d.u16(), d.u16()
	m.MaxPage, m.MaxImportRows = d.u16(), d.u16()
	m.IdleTimeoutMillis = d.u32()
	copy(m.ClusterID[:], d.take(len(m.ClusterID)))
	m.NodeID = d.text(m.NodeID)
	m.ServerVersion = d.text(m.ServerVersion)
	return d.end("hello reply")
}

// NewHelloReply returns the reply that accepts h with what both sides have in
// common and this package's limits; the server fills in the rest.
func NewHelloReply(h *Hello, serverMaxFrameBytes uint32) (HelloReply, error) {
	version, features, maxFrameBytes, err := h.Agree(serverMaxFrameBytes)
	return HelloReply{
		Version: version, Features: features, MaxFrameBytes: maxFrameBytes,
		MaxIDs: MaxIDs, MaxFollowIDs: MaxFollowIDs, MaxPage: MaxPage, MaxImportRows: MaxImportRows,
	}, err
}

// Check tells a client whether the reply fits its hello.
func (m *HelloReply) Check(h *Hello) error {
	switch {
	case m.Version < h.MinVersion || m.Version > h.MaxVersion:
		return ErrUnsupportedVersion
	case m.Features&^h.Features != 0,
		m.MaxFrameBytes < MinMaxFrameBytes || m.MaxFrameBytes > clampFrameBytes(h.MaxFrameBytes),
		m.MaxInFlight == 0, m.MaxIDs == 0, m.MaxFollowIDs == 0, m.MaxPage == 0, m.MaxImportRows == 0:
		return ErrBadHelloReply
	}
	return nil
}
