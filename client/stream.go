package client

import (
	"sync"
	"time"

	"github.com/kithgraph/kith/wire"
)

// streamFrame is one frame of an answer that has several.
type streamFrame struct {
	code wire.Code
	more bool
	body []byte // the receiver's own
}

// stream takes the frames of one answer. The reading goroutine of the connection
// pushes, one caller receives; what waits in between is bounded by the credits
// that the caller has given.
type stream struct {
	frames chan streamFrame
	lost   chan struct{} // closed when the connection failed; err says why
	once   sync.Once
	err    error
}

// newStream returns a stream for so many frames ahead of the receiver. The last
// frame needs no credit when it carries an error, hence one place more.
func newStream(credits int) *stream {
	return &stream{frames: make(chan streamFrame, credits+1), lost: make(chan struct{})}
}

// push copies a frame to the receiver. It never waits: a server that sends more
// than it has credit for breaks the protocol, and the stream is lost.
func (s *stream) push(code wire.Code, more bool, body []byte) error {
	select {
	case s.frames <- streamFrame{code, more, append([]byte(nil), body...)}:
		return nil
	default:
		err := protocolError("a stream without credit")
		s.lose(err)
		return err
	}
}

// lose ends the stream because its connection failed.
func (s *stream) lose(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.lost)
	})
}

// receive returns the next frame. Frames that came before the connection was
// lost are received first. The stream has stalled when stall fires; l ends it for good.
func (s *stream) receive(l limit, stall <-chan time.Time) (streamFrame, *Error) {
	select {
	case f := <-s.frames:
		return f, nil
	default:
	}
	select {
	case f := <-s.frames:
		return f, nil
	case <-s.lost:
		select {
		case f := <-s.frames:
			return f, nil
		default:
			return streamFrame{}, unavailable("", s.err)
		}
	case <-l.ctx.Done():
	case <-l.timer:
	case <-stall:
		return streamFrame{}, unknownOutcome("the stream has stalled", errStalled)
	}
	return streamFrame{}, unknownOutcome("the stream has stalled", endOf(l.ctx))
}
