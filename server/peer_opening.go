package server

import (
	"encoding/binary"
	"fmt"
)

const (
	portNonceBytes = 32
	portProofBytes = 32
	// maxNodeIDBytes bounds a node's name in an opening.
	maxNodeIDBytes = 64
)

// portHello is the first frame of whoever has dialed. Its form never changes, so
// that nodes of all versions can tell that they have none in common.
type portHello struct {
	MinVersion, MaxVersion uint8
	MaxBodyBytes           uint32 // largest body that the dialer takes
	ClusterID              [16]byte
	Nonce                  [portNonceBytes]byte
	NodeID                 string
}

func (h *portHello) append(dst []byte) []byte {
	dst = append(dst, h.MinVersion, h.MaxVersion)
	dst = binary.LittleEndian.AppendUint32(dst, h.MaxBodyBytes)
	dst = append(dst, h.ClusterID[:]...)
	dst = append(dst, h.Nonce[:]...)
	return appendNodeID(dst, h.NodeID)
}

func (h *portHello) decode(b []byte) (err error) {
	const fixed = 6 + 16 + portNonceBytes
	if len(b) < fixed {
		return fmt.Errorf("%w: hello of %d bytes", errPortCorrupt, len(b))
	}
	h.MinVersion, h.MaxVersion = b[0], b[1]
	h.MaxBodyBytes = binary.LittleEndian.Uint32(b[2:])
	copy(h.ClusterID[:], b[6:])
	copy(h.Nonce[:], b[22:])
	if h.NodeID, err = decodeNodeID(b[fixed:]); err != nil {
		return err
	}
	if h.MinVersion > h.MaxVersion {
		return fmt.Errorf("%w: versions %d to %d", errPortCorrupt, h.MinVersion, h.MaxVersion)
	}
	return checkMaxBodyBytes(h.MaxBodyBytes)
}

// portChallenge is the listener's answer to a hello.
type portChallenge struct {
	Version   uint8 // the one that is spoken from now on
	ClusterID [16]byte
	Nonce     [portNonceBytes]byte
	NodeID    string
}

func (c *portChallenge) append(dst []byte) []byte {
	dst = append(dst, c.Version)
	dst = append(dst, c.ClusterID[:]...)
	dst = append(dst, c.Nonce[:]...)
	return appendNodeID(dst, c.NodeID)
}

func (c *portChallenge) decode(b []byte) (err error) {
	const fixed = 1 + 16 + portNonceBytes
	if len(b) < fixed {
		return fmt.Errorf("%w: challenge of %d bytes", errPortCorrupt, len(b))
	}
	c.Version = b[0]
	copy(c.ClusterID[:], b[1:])
	copy(c.Nonce[:], b[17:])
	c.NodeID, err = decodeNodeID(b[fixed:])
	return err
}

// portProof is the dialer's answer to a challenge.
type portProof struct {
	Proof [portProofBytes]byte
}

func (p *portProof) append(dst []byte) []byte { return append(dst, p.Proof[:]...) }

func (p *portProof) decode(b []byte) error {
	if len(b) != portProofBytes {
		return fmt.Errorf("%w: proof of %d bytes", errPortCorrupt, len(b))
	}
	copy(p.Proof[:], b)
	return nil
}

// portWelcome ends the opening: the dialer may send requests.
type portWelcome struct {
	MaxBodyBytes uint32 // largest body that the listener takes
	Proof        [portProofBytes]byte
}

func (w *portWelcome) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, w.MaxBodyBytes)
	return append(dst, w.Proof[:]...)
}

func (w *portWelcome) decode(b []byte) error {
	if len(b) != 4+portProofBytes {
		return fmt.Errorf("%w: welcome of %d bytes", errPortCorrupt, len(b))
	}
	w.MaxBodyBytes = binary.LittleEndian.Uint32(b)
	copy(w.Proof[:], b[4:])
	return checkMaxBodyBytes(w.MaxBodyBytes)
}

func checkMaxBodyBytes(n uint32) error {
	if n < portMinBodyBytes {
		return fmt.Errorf("%w: frames of %d bytes are offered, at least %d are needed", errPortCorrupt, n, portMinBodyBytes)
	}
	return nil
}

func appendNodeID(dst []byte, id string) []byte {
	return append(append(dst, byte(len(id))), id...)
}

// decodeNodeID reads a node id that is all the rest of a body.
func decodeNodeID(b []byte) (string, error) {
	if len(b) < 1 || len(b) != 1+int(b[0]) {
		return "", fmt.Errorf("%w: the node id does not end with the body", errPortCorrupt)
	}
	id := string(b[1:])
	return id, checkNodeID(id)
}

// checkNodeID refuses names that do not fit, or that could deceive in a log.
func checkNodeID(id string) error {
	if len(id) == 0 || len(id) > maxNodeIDBytes {
		return fmt.Errorf("%w: node id of %d bytes", errPortCorrupt, len(id))
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("%w: node id %q", errPortCorrupt, id)
		}
	}
	return nil
}

// appendOpeningFrame appends a frame of the opening, which has neither a request
// id nor a seed yet.
func appendOpeningFrame(dst []byte, kind portKind, body interface{ append([]byte) []byte }) []byte {
	start := len(dst)
	return endPortFrame(body.append(beginPortFrame(dst, kind, 0)), start, 0)
}
