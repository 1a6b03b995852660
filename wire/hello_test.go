package wire

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHelloAgreement(t *testing.T) {
	for _, c := range []struct {
		name           string
		hello          Hello
		server         uint32
		frame, feature uint32
		err            error
	}{
		{"equal", Hello{1, 1, 0, 1 << 20, nil}, 1 << 20, 1 << 20, 0, nil},
		{"client's is smaller", Hello{1, 1, 0, 200_000, nil}, 1 << 20, 200_000, 0, nil},
		{"server's is smaller", Hello{1, 1, 0, 1 << 20, nil}, 200_000, 200_000, 0, nil},
		{"below the floor", Hello{1, 1, 0, 5, nil}, 1 << 20, MinMaxFrameBytes, 0, nil},
		{"above every header", Hello{1, 1, 0, 1<<32 - 1, nil}, 1<<32 - 1, MaxBodyBytes, 0, nil},
		{"newer client", Hello{1, 9, 1<<32 - 1, 1 << 20, nil}, 1 << 20, 1 << 20, Features, nil},
		{"much newer client", Hello{2, 9, 0, 1 << 20, nil}, 1 << 20, 0, 0, ErrUnsupportedVersion},
		{"version 0", Hello{0, 0, 0, 1 << 20, nil}, 1 << 20, 0, 0, ErrUnsupportedVersion},
		{"reversed", Hello{2, 1, 0, 1 << 20, nil}, 1 << 20, 0, 0, ErrUnsupportedVersion},
	} {
		reply, err := NewHelloReply(&c.hello, c.server)
		if !errors.Is(err, c.err) || reply.MaxFrameBytes != c.frame || reply.Features != c.feature {
			t.Errorf("%s: %+v, %v", c.name, reply, err)
		}
		reply.MaxInFlight = 1
		if err == nil && reply.Check(&c.hello) != nil {
			t.Errorf("%s: what was agreed on is refused: %v", c.name, reply.Check(&c.hello))
		}
	}
}

func TestHelloReplyIsChecked(t *testing.T) {
	hello := NewHello(0, nil)
	good, err := NewHelloReply(&hello, DefaultMaxFrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	good.MaxInFlight = 1
	for name, spoil := range map[string]func(*HelloReply){
		"newer version": func(r *HelloReply) { r.Version++ },
		"older version": func(r *HelloReply) { r.Version-- },
		"features":      func(r *HelloReply) { r.Features = 1 },
		"small frames":  func(r *HelloReply) { r.MaxFrameBytes = MinMaxFrameBytes - 1 },
		"large frames":  func(r *HelloReply) { r.MaxFrameBytes++ },
		"no requests":   func(r *HelloReply) { r.MaxInFlight = 0 },
		"no pages":      func(r *HelloReply) { r.MaxPage = 0 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Check(&hello); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLongTextsAreCutAtACharacter(t *testing.T) {
	for pad := range 4 {
		m := ErrorReply{Message: strings.Repeat("x", pad) + strings.Repeat("ö", MaxTextBytes)}
		var got ErrorReply
		if err := got.Decode(m.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(got.Message) || len(got.Message) < MaxTextBytes-3 || !strings.HasPrefix(m.Message, got.Message) {
			t.Errorf("padded by %d: cut to %d bytes ending in %q", pad, len(got.Message), got.Message[len(got.Message)-4:])
		}
	}
	over := appendBytes(appendBytes(nil, make([]byte, MaxTextBytes+1)), nil)
	var limit *LimitError
	if err := new(ErrorReply).Decode(over); !errors.As(err, &limit) {
		t.Errorf("a text over the limit: %v", err)
	}
}
