package server

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/kithgraph/kith/shard"
)

// maxPortTextBytes bounds the text of a failure.
const maxPortTextBytes = 512

// appendDeliverRequest appends the whole frame that carries a courier's message.
func appendDeliverRequest(dst []byte, seed uint32, id uint64, to shard.ID, payload []byte) []byte {
	start := len(dst)
	dst = beginPortFrame(dst, portDeliverKind, id)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(to))
	return endPortFrame(append(dst, payload...), start, seed)
}

// decodeDeliverRequest returns what the body carries; the payload aliases it.
func decodeDeliverRequest(body []byte) (to shard.ID, payload []byte, err error) {
	if len(body) < 2 {
		return 0, nil, fmt.Errorf("%w: delivery of %d bytes", errPortCorrupt, len(body))
	}
	return shard.ID(binary.LittleEndian.Uint16(body)), body[2:], nil
}

// deliverAnswer answers a delivery: applied, or why not.
type deliverAnswer struct {
	id      uint64
	seed    uint32
	applied uint64
	err     error
}

// appendAnswer appends the frame. It is called once, under the lock of an output.
func (a *deliverAnswer) appendAnswer(dst []byte) []byte {
	start := len(dst)
	if a.err == nil {
		dst = binary.LittleEndian.AppendUint64(beginPortFrame(dst, portAppliedKind, a.id), a.applied)
		return endPortFrame(dst, start, a.seed)
	}
	text := a.err.Error()
	text = text[:min(len(text), maxPortTextBytes)] // the receiver mends a character that is cut
	dst = append(beginPortFrame(dst, portFailedKind, a.id), byte(portCodeOf(a.err)))
	return endPortFrame(append(dst, text...), start, a.seed)
}

// decode reads an answer. It fails with a frame that is none; what a sound answer
// says of a failure is a.err.
func (a *deliverAnswer) decode(f portFrame) error {
	*a = deliverAnswer{id: f.ID}
	switch f.Kind {
	case portAppliedKind:
		if len(f.Body) != 8 {
			return fmt.Errorf("%w: answer of %d bytes", errPortCorrupt, len(f.Body))
		}
		a.applied = binary.LittleEndian.Uint64(f.Body)
		return nil
	case portFailedKind:
		if len(f.Body) < 1 || len(f.Body) > 1+maxPortTextBytes {
			return fmt.Errorf("%w: failure of %d bytes", errPortCorrupt, len(f.Body))
		}
		a.err = &remoteError{Code: portCode(f.Body[0]), Text: strings.ToValidUTF8(string(f.Body[1:]), "\uFFFD")}
		return nil
	}
	return fmt.Errorf("%w: kind %d", errPortUnexpected, f.Kind)
}

// appendEmptyFrame appends a frame without a body: a ping or its answer.
func appendEmptyFrame(dst []byte, seed uint32, kind portKind, id uint64) []byte {
	return endPortFrame(beginPortFrame(dst, kind, id), len(dst), seed)
}
