package wire

import "encoding/binary"

// Hello is a client's first frame.
type Hello struct {
	// MinVersion and MaxVersion are the oldest and newest version that the client speaks.
	MinVersion, MaxVersion uint8
	// Features are the feature bits that the client understands.
	Features uint32
	// MaxFrameBytes is the largest body that the client takes; less than
	// MinMaxFrameBytes counts as that.
	MaxFrameBytes uint32
	// Credentials prove who the client is; empty where none are asked for. At most
	// MaxCredentialsBytes.
	Credentials []byte
}

// Append appends the message's body.
func (m *Hello) Append(dst []byte) []byte {
	dst = append(dst, m.MinVersion, m.MaxVersion)
	dst = binary.LittleEndian.AppendUint32(dst, m.Features)
	dst = binary.LittleEndian.AppendUint32(dst, m.MaxFrameBytes)
	return appendBytes(dst, m.Credentials)
}

// Decode reads the message from a whole body.
func (m *Hello) Decode(body []byte) error {
	d := decoder{b: body}
	m.MinVersion, m.MaxVersion = d.u8(), d.u8()
	m.Features, m.MaxFrameBytes = d.u32(), d.u32()
	m.Credentials = d.bytes()
	if len(m.Credentials) > MaxCredentialsBytes {
		d.fail(&LimitError{What: "bytes of credentials", Limit: MaxCredentialsBytes})
	}
	return d.end("hello")
}

// NewHello returns the hello of a client that takes bodies of up to maxFrameBytes
// (0: DefaultMaxFrameBytes) and speaks all that this package speaks.
func NewHello(maxFrameBytes uint32, credentials []byte) Hello {
	if maxFrameBytes == 0 {
		maxFrameBytes = DefaultMaxFrameBytes
	}
	return Hello{
		MinVersion: MinVersion, MaxVersion: Version, Features: Features,
		MaxFrameBytes: clampFrameBytes(maxFrameBytes), Credentials: credentials,
	}
}

// AppendOpening appends what a client begins a connection with: the magic and the
// frame of its hello.
func AppendOpening(dst []byte, id uint32, m *Hello) []byte {
	return AppendRequest(append(dst, Magic...), TypeHello, id, m)
}

// Agree returns what a server and this client have in common: the newest version
// that both speak, the features that both understand, and the smaller of the two
// frame limits, but never less than MinMaxFrameBytes. Without a common version the
// error is ErrUnsupportedVersion.
func (m *Hello) Agree(serverMaxFrameBytes uint32) (version uint8, features, maxFrameBytes uint32, err error) {
	version = min(m.MaxVersion, Version)
	if version < max(m.MinVersion, MinVersion) {
		return 0, 0, 0, ErrUnsupportedVersion
	}
	return version, m.Features & Features, clampFrameBytes(min(m.MaxFrameBytes, serverMaxFrameBytes)), nil
}

func clampFrameBytes(n uint32) uint32 { return min(max(n, MinMaxFrameBytes), MaxBodyBytes) }
