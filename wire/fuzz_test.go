package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// fuzzMessage feeds bytes to Decode. What is accepted must come back unchanged from
// Append, to the byte: a message has one encoding only.
func fuzzMessage[T any, P message[T]](f *testing.F) {
	name := strings.TrimPrefix(f.Name(), "Fuzz")
	body := sampleNamed(f, name).body()
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add(append(bytes.Clone(body), 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, again := P(new(T)), P(new(T))
		if m.Decode(body) != nil {
			return
		}
		encoded := m.Append(nil)
		if status, ok := any(m).(*Status); ok {
			if err := again.Decode(encoded); err == nil && !reflect.DeepEqual(m, again) {
				t.Errorf("%+v became %+v", status, again)
			}
			return
		}
		if !bytes.Equal(encoded, body) {
			t.Errorf("% x was accepted and became % x", body, encoded)
		}
		if err := again.Decode(encoded); err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v: %v", m, again, err)
		}
	})
}

func FuzzHello(f *testing.F)         { fuzzMessage[Hello](f) }
func FuzzHelloReply(f *testing.F)    { fuzzMessage[HelloReply](f) }
func FuzzErrorReply(f *testing.F)    { fuzzMessage[ErrorReply](f) }
func FuzzPing(f *testing.F)          { fuzzMessage[Ping](f) }
func FuzzPingReply(f *testing.F)     { fuzzMessage[PingReply](f) }
func FuzzStatusRequest(f *testing.F) { fuzzMessage[StatusRequest](f) }
func FuzzStatus(f *testing.F)        { fuzzMessage[Status](f) }
func FuzzEdgeRequest(f *testing.F)   { fuzzMessage[EdgeRequest](f) }
func FuzzEdgeReply(f *testing.F)     { fuzzMessage[EdgeReply](f) }
func FuzzListRequest(f *testing.F)   { fuzzMessage[ListRequest](f) }
func FuzzListReply(f *testing.F)     { fuzzMessage[ListReply](f) }
func FuzzInfoRequest(f *testing.F)   { fuzzMessage[InfoRequest](f) }
func FuzzInfoReply(f *testing.F)     { fuzzMessage[InfoReply](f) }
func FuzzCheckRequest(f *testing.F)  { fuzzMessage[CheckRequest](f) }
func FuzzCheckReply(f *testing.F)    { fuzzMessage[CheckReply](f) }
func FuzzImportRequest(f *testing.F) { fuzzMessage[ImportRequest](f) }
func FuzzImportReply(f *testing.F)   { fuzzMessage[ImportReply](f) }
func FuzzExportRequest(f *testing.F) { fuzzMessage[ExportRequest](f) }
func FuzzExportReply(f *testing.F)   { fuzzMessage[ExportReply](f) }
func FuzzCredit(f *testing.F)        { fuzzMessage[Credit](f) }
func FuzzCancel(f *testing.F)        { fuzzMessage[Cancel](f) }

// FuzzFrames splits any bytes into frames, which together must be these bytes.
func FuzzFrames(f *testing.F) {
	f.Add(AppendOpening(nil, 1, &Hello{}))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		_, _, rest, err := NextOpening(buf)
		if (err == nil) != (len(rest) < len(buf)) {
			t.Fatalf("opening: %v with %d of %d bytes left", err, len(rest), len(buf))
		}
		for err == nil {
			before := rest
			var h Header
			var body []byte
			h, body, rest, err = NextFrame(before, MinMaxFrameBytes)
			if err == nil && string(EndFrame(append(BeginFrame(nil, h.Type, h.ID), body...), 0))+string(rest) != string(before) {
				t.Fatalf("% x does not come back", before)
			}
			if err != nil && len(rest) != len(before) {
				t.Fatalf("%v took %d bytes", err, len(before)-len(rest))
			}
		}
	})
}
