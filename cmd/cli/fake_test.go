package main

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/kithgraph/kith/wire"
)

// reply is one frame of an answer.
type reply struct {
	code wire.Code
	body wire.Message
}

func ok(m wire.Message) reply { return reply{wire.OK, m} }

func refusal(code wire.Code, message string) reply {
	return reply{code, &wire.ErrorReply{Message: message}}
}

// fakeNode answers every request by one function, for answers that a real node
// gives only when it is in trouble, or never. A nil answer hangs up.
func fakeNode(t *testing.T, answer func(wire.Type, []byte) *reply) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				_ = serveFake(nc, answer) // ends with the connection
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

func serveFake(nc net.Conn, answer func(wire.Type, []byte) *reply) error {
	magic := make([]byte, len(wire.Magic))
	if _, err := io.ReadFull(nc, magic); err != nil {
		return err
	}
	out := []byte(wire.Magic)
	for {
		h, body, err := readFrame(nc)
		if err != nil {
			return err
		}
		r := answer(wire.Type(h.Type), body)
		if r == nil && wire.Type(h.Type) == wire.TypeHello {
			var hello wire.Hello
			if err := hello.Decode(body); err != nil {
				return err
			}
			m, err := wire.NewHelloReply(&hello, wire.DefaultMaxFrameBytes)
			if err != nil {
				return err
			}
			m.MaxInFlight = 64
			answered := ok(&m)
			r = &answered
		}
		if r == nil {
			return nil
		}
		out = wire.AppendReply(out, r.code, h.ID, r.body)
		if _, err := nc.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
}

func readFrame(r io.Reader) (wire.Header, []byte, error) {
	head := make([]byte, wire.HeaderBytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return wire.Header{}, nil, err
	}
	h := wire.ParseHeader(head)
	var body bytes.Buffer
	_, err := io.CopyN(&body, r, int64(h.Length))
	return h, body.Bytes(), err
}
