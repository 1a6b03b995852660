package server

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Frames of the peer port, as PEERS.md specifies them.
const (
	portMagic       = "KITHPEER"
	portVersion     = 1
	portHeaderBytes = 20
	// portOpeningBytes is the largest body before both sides have proved
	// themselves.
	portOpeningBytes = 512
	// portMinBodyBytes is what every node takes after it: more than a courier's
	// largest message.
	portMinBodyBytes = 64 << 10
	portMaxBodyBytes = 16 << 20
)

// portKind says what a frame is.
type portKind uint8

const (
	portHelloKind     portKind = 1
	portChallengeKind portKind = 2
	portProofKind     portKind = 3
	portWelcomeKind   portKind = 4
	portPingKind      portKind = 5
	portPongKind      portKind = 6

	portDeliverKind portKind = 16

	portAppliedKind portKind = 128
	portFailedKind  portKind = 129
)

// isRequest tells kinds that are answered, known or not.
func (k portKind) isRequest() bool { return k >= 16 && k < 128 }

// portFrame is a frame whose checksum was right. Body and raw alias what it was
// parsed from.
type portFrame struct {
	Kind portKind
	ID   uint64 // of the request; 0 where there is none
	Body []byte
	raw  []byte // the whole frame
}

// portTable is the polynomial of CRC-32C.
func portTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// portSeed is where the checksums of a connection start after its opening: a
// frame of another connection, which has other nonces, is not taken for one of it.
func portSeed(dialer, listener *[portNonceBytes]byte) uint32 {
	return crc32.Update(crc32.Checksum(dialer[:], portTable()), portTable(), listener[:])
}

// beginPortFrame appends the header of a frame; the body is to be appended next,
// and then endPortFrame called with the length that dst has now.
func beginPortFrame(dst []byte, kind portKind, id uint64) []byte {
	dst = append(dst, portVersion, byte(kind), 0, 0)
	dst = append(dst, 0, 0, 0, 0) // the length
	dst = binary.LittleEndian.AppendUint64(dst, id)
	return append(dst, 0, 0, 0, 0) // the checksum
}

// endPortFrame completes the frame that begins at dst[start].
func endPortFrame(dst []byte, start int, seed uint32) []byte {
	frame := dst[start:]
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-portHeaderBytes))
	binary.LittleEndian.PutUint32(frame[16:], portChecksum(frame, seed))
	return dst
}

// portChecksum is over the header without the checksum itself, and the body.
func portChecksum(frame []byte, seed uint32) uint32 {
	return crc32.Update(crc32.Update(seed, portTable(), frame[:16]), portTable(), frame[portHeaderBytes:])
}

// parsePortFrame reads the frame that b begins with. size is its length, 0 while
// b is too short for all of it. It allocates nothing, and refuses what can never
// become a frame as early as that can be seen.
func parsePortFrame(b []byte, maxBodyBytes int, seed uint32) (f portFrame, size int, err error) {
	if len(b) >= 1 && b[0] != portVersion {
		return portFrame{}, 0, fmt.Errorf("%w: %d of a frame", errPortVersion, b[0])
	}
	if len(b) < portHeaderBytes {
		return portFrame{}, 0, nil
	}
	length := binary.LittleEndian.Uint32(b[4:])
	switch {
	case uint64(length) > uint64(maxBodyBytes):
		return portFrame{}, 0, fmt.Errorf("%w: it announces %d bytes, %d are allowed", errPortFrameLarge, length, maxBodyBytes)
	case len(b) < portHeaderBytes+int(length):
		return portFrame{}, 0, nil
	}
	size = portHeaderBytes + int(length)
	raw := b[:size:size]
	if sum := portChecksum(raw, seed); sum != binary.LittleEndian.Uint32(raw[16:]) {
		return portFrame{}, 0, fmt.Errorf("%w: frame of kind %d", errPortChecksum, raw[1])
	}
	if raw[2] != 0 || raw[3] != 0 {
		return portFrame{}, 0, fmt.Errorf("%w: bytes kept for later are set", errPortCorrupt)
	}
	return portFrame{
		Kind: portKind(raw[1]),
		ID:   binary.LittleEndian.Uint64(raw[8:]),
		Body: raw[portHeaderBytes:],
		raw:  raw,
	}, size, nil
}
