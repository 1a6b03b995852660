package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Labels keep the uses of one secret, and the two roles, apart for ever.
const (
	portKeyLabel      = "kith peer port 1"
	portDialerLabel   = "kith peer port 1 dialer"
	portListenerLabel = "kith peer port 1 listener"
)

// portIdentity is what a node shows of itself, and by what it proves it.
type portIdentity struct {
	ClusterID [16]byte
	NodeID    string
	key       []byte
}

// newPortIdentity derives the key of the peer port from the cluster's secret.
func newPortIdentity(id identity) (portIdentity, error) {
	if err := checkNodeID(id.NodeID); err != nil {
		return portIdentity{}, err
	}
	key, err := id.key(portKeyLabel, sha256.Size)
	if err != nil {
		return portIdentity{}, err
	}
	return portIdentity{ClusterID: id.ClusterID, NodeID: id.NodeID, key: key}, nil
}

// dialerProof is over both sides' first frames, and so over the nonces, ids and
// versions of both.
func (id *portIdentity) dialerProof(hello, challenge []byte) [portProofBytes]byte {
	return id.prove(portDialerLabel, hello, challenge)
}

// listenerProof is over all that was said, and the offer that goes with it.
func (id *portIdentity) listenerProof(hello, challenge, proof []byte, maxBodyBytes uint32) [portProofBytes]byte {
	return id.prove(portListenerLabel, hello, challenge, proof, binary.LittleEndian.AppendUint32(nil, maxBodyBytes))
}

func (id *portIdentity) prove(label string, parts ...[]byte) (proof [portProofBytes]byte) {
	mac := hmac.New(sha256.New, id.key)
	mac.Write([]byte(label))
	for _, part := range parts {
		mac.Write(part)
	}
	mac.Sum(proof[:0])
	return proof
}

// equalProofs compares in a time that tells nothing.
func equalProofs(a, b [portProofBytes]byte) bool { return hmac.Equal(a[:], b[:]) }
