package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []Header{{}, {Length: 300, Type: 0x48, ID: 7}, {Length: MaxBodyBytes, Type: 0xff, ID: 1<<32 - 1}} {
		b := BeginFrame([]byte("before"), h.Type, h.ID)
		b = EndFrame(append(b, make([]byte, h.Length)...), len("before"))
		if got := ParseHeader(b[len("before"):]); got != h {
			t.Errorf("%+v became %+v", h, got)
		}
	}
}

func TestReplyHeader(t *testing.T) {
	h := ParseHeader(BeginReply(nil, FollowingFull, true, 5))
	if h.Code() != FollowingFull || !h.More() || h.ID != 5 {
		t.Errorf("%+v", h)
	}
	if h := ParseHeader(BeginReply(nil, NotLeader, false, 5)); h.Code() != NotLeader || h.More() {
		t.Errorf("%+v", h)
	}
}

func TestEndFramePanicsOnOverlongBody(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a body that no header can announce was framed")
		}
	}()
	EndFrame(append(BeginFrame(nil, 0, 1), make([]byte, MaxBodyBytes+1)...), 0)
}

func TestNextFrameByteByByte(t *testing.T) {
	stream := AppendRequest(nil, TypePing, 1, Ping{})
	check := CheckRequest{Me: []byte("a"), UserIDs: ids("b")}
	stream = AppendRequest(stream, TypeCheck, 2, &check)
	stream = AppendReply(stream, Timeout, 3, &ErrorReply{Message: "m"})
	var got []uint32
	var buf []byte
	for _, b := range stream {
		buf = append(buf, b)
		h, body, rest, err := NextFrame(buf, 64)
		if errors.Is(err, ErrIncomplete) {
			if len(rest) != len(buf) || body != nil {
				t.Fatalf("%d bytes: an incomplete frame took something", len(buf))
			}
			continue
		}
		if err != nil || len(rest) != 0 || int(h.Length) != len(body) {
			t.Fatalf("%+v, %d bytes of body, %d left, %v", h, len(body), len(rest), err)
		}
		got = append(got, h.ID)
		buf = buf[:0]
	}
	if len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Errorf("frames %v", got)
	}
}

func TestAliasesCannotGrowIntoWhatFollows(t *testing.T) {
	two := append(AppendRequest(nil, TypeCredit, 1, &Credit{1}), "next"...)
	_, body, rest, err := NextFrame(two, 64)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(body, '!')
	if string(rest) != "next" {
		t.Errorf("appending to a body changed what follows it to %q", rest)
	}
	m := CheckRequest{}
	if err := m.Decode((&CheckRequest{Me: []byte("a"), UserIDs: ids("b", "c")}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	_, _ = append(m.Me, "!!!"...), append(m.UserIDs[0], "!!"...)
	if string(m.UserIDs[0]) != "b" || string(m.UserIDs[1]) != "c" {
		t.Errorf("appending to one user id changed the others: %q", m.UserIDs)
	}
}

func TestTooLargeFrameIsToldByItsHeader(t *testing.T) {
	b := []byte{0xff, 0xff, 0xff, 16, 9, 0, 0, 0}
	var h Header
	var err error
	if n := testing.AllocsPerRun(100, func() { h, _, _, err = NextFrame(b, DefaultMaxFrameBytes) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !errors.Is(err, ErrFrameTooLarge) || h.ID != 9 || h.Length != MaxBodyBytes {
		t.Errorf("%+v, %v", h, err)
	}
	if _, _, _, err := NextFrame(b, MaxBodyBytes); !errors.Is(err, ErrIncomplete) {
		t.Errorf("allowed, but not there: %v", err)
	}
}

func TestNextOpening(t *testing.T) {
	hello := NewHello(0, []byte("token"))
	whole := AppendOpening(nil, 1, &hello)
	for n := range whole {
		if _, _, rest, err := NextOpening(whole[:n]); !errors.Is(err, ErrIncomplete) || len(rest) != n {
			t.Errorf("%d bytes: %v, %d left", n, err, len(rest))
		}
	}
	h, body, rest, err := NextOpening(append(whole, "more"...))
	if err != nil || Type(h.Type) != TypeHello || string(rest) != "more" {
		t.Fatalf("%+v, %q left, %v", h, rest, err)
	}
	var got Hello
	if err := got.Decode(body); err != nil || !bytes.Equal(got.Credentials, hello.Credentials) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNextOpeningRefuses(t *testing.T) {
	tooLarge := BeginRequest([]byte(Magic), TypeHello, 1)
	tooLarge = EndFrame(append(tooLarge, make([]byte, MaxOpeningBytes+1)...), len(Magic))
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"HTTP", []byte("G"), ErrBadMagic},
		{"TLS", []byte{0x16, 3, 1}, ErrBadMagic},
		{"a frame without magic", AppendRequest(nil, TypeHello, 1, &Hello{}), ErrBadMagic},
		{"nearly the magic", []byte("KITX"), ErrBadMagic},
		{"a large hello", tooLarge[:len(Magic)+HeaderBytes], ErrFrameTooLarge},
	} {
		if _, _, rest, err := NextOpening(c.in); !errors.Is(err, c.want) || len(rest) != len(c.in) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
