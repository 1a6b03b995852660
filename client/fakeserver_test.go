package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kithgraph/kith/wire"
)

// fakeServer speaks the protocol over in-memory or loopback connections and
// leaves the answers to a handler.
type fakeServer struct {
	t      testing.TB
	hello  wire.HelloReply
	handle func(*fakeConn, wire.Header, []byte)
	// refuse, when set, is answered to every hello.
	refuse wire.Code
	// onOpening, when set, takes over a new connection before the hello.
	onOpening func(net.Conn)

	dials    atomic.Int64
	requests atomic.Int64
	reads    atomic.Int64
	down     atomic.Bool

	mu    sync.Mutex
	conns []*fakeConn
	wg    sync.WaitGroup
}

// fakeConn is one connection as the server sees it.
type fakeConn struct {
	server *fakeServer
	nc     net.Conn
	mu     sync.Mutex
	out    []byte
}

func newFakeServer(t testing.TB, handle func(*fakeConn, wire.Header, []byte)) *fakeServer {
	s := &fakeServer{t: t, handle: handle}
	s.hello = wire.HelloReply{
		Version: wire.Version, MaxFrameBytes: wire.DefaultMaxFrameBytes, MaxInFlight: 4096, MaxStreams: 4,
		MaxIDs: wire.MaxIDs, MaxFollowIDs: wire.MaxFollowIDs, MaxPage: wire.MaxPage, MaxImportRows: wire.MaxImportRows,
		NodeID: "fake",
	}
	t.Cleanup(func() {
		s.kill()
		s.wg.Wait()
	})
	return s
}

var errDown = errors.New("fake server is down")

// dialPipe is a Dialer over net.Pipe.
func (s *fakeServer) dialPipe(context.Context, string) (net.Conn, error) {
	s.dials.Add(1)
	if s.down.Load() {
		return nil, errDown
	}
	ours, theirs := net.Pipe()
	s.serve(theirs)
	return ours, nil
}

// listen serves on the loopback interface until the test ends and returns the address.
func (s *fakeServer) listen(network, addr string) string {
	l, err := net.Listen(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(nc)
		}
	})
	s.t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func (s *fakeServer) serve(nc net.Conn) {
	c := &fakeConn{server: s, nc: nc}
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	s.wg.Go(func() {
		defer nc.Close()
		if s.onOpening != nil {
			s.onOpening(nc)
			return
		}
		c.run()
	})
}

// kill closes all connections from the server's side.
func (s *fakeServer) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.nc.Close()
	}
	s.conns = nil
}

func (c *fakeConn) run() {
	buf := make([]byte, 0, 1<<20)
	opened := false
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := c.nc.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		c.server.reads.Add(1)
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			next := func() (h wire.Header, body, left []byte, err error) {
				if !opened {
					return wire.NextOpening(rest)
				}
				return wire.NextFrame(rest, wire.DefaultMaxFrameBytes)
			}
			h, body, left, err := next()
			if err != nil {
				break
			}
			rest = left
			if !opened {
				opened = true
				if !c.greet(h, body) {
					return
				}
				continue
			}
			c.server.requests.Add(1)
			c.server.handle(c, h, body)
		}
		buf = append(buf[:0], rest...)
		c.flush()
	}
}

func (c *fakeConn) greet(h wire.Header, body []byte) bool {
	var hello wire.Hello
	if err := hello.Decode(body); err != nil {
		c.server.t.Errorf("hello: %v", err)
		return false
	}
	if c.server.refuse != wire.OK {
		c.send(wire.AppendReply([]byte(wire.Magic), c.server.refuse, h.ID, &wire.ErrorReply{Message: "go away"}))
		return false
	}
	c.send(wire.AppendReply([]byte(wire.Magic), wire.OK, h.ID, &c.server.hello))
	return true
}

// reply queues an answer, which goes out when all that has been read is handled.
func (c *fakeConn) reply(id uint32, code wire.Code, m wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = wire.AppendReply(c.out, code, id, m)
}

// more queues a frame of a stream.
func (c *fakeConn) more(id uint32, m wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := len(c.out)
	c.out = wire.EndFrame(m.Append(wire.BeginReply(c.out, wire.OK, true, id)), start)
}

func (c *fakeConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > 0 {
		_, _ = c.nc.Write(c.out)
		c.out = c.out[:0]
	}
}

func (c *fakeConn) send(b []byte) { _, _ = c.nc.Write(b) }

// answerAll answers every request with success: checks with the length of the
// user id modulo 4, follows and imports with ok, lists with what it is told.
func answerAll(c *fakeConn, h wire.Header, body []byte) {
	switch wire.Type(h.Type) {
	case wire.TypePing:
		c.reply(h.ID, wire.OK, &wire.PingReply{})
	case wire.TypeStatus:
		c.reply(h.ID, wire.OK, &wire.Status{NodeID: "fake", Ready: true})
	case wire.TypeCheck:
		var request wire.CheckRequest
		must(c.server.t, request.Decode(body))
		reply := wire.CheckReply{}
		for _, id := range request.UserIDs {
			reply.Results = append(reply.Results, wire.CheckResult(len(id)%4))
		}
		c.reply(h.ID, wire.OK, &reply)
	case wire.TypeInfo:
		var request wire.InfoRequest
		must(c.server.t, request.Decode(body))
		reply := wire.InfoReply{}
		for _, id := range request.UserIDs {
			reply.Items = append(reply.Items, wire.InfoItem{Followers: uint32(len(id))})
		}
		c.reply(h.ID, wire.OK, &reply)
	case wire.TypeFollow, wire.TypeUnfollow:
		var request wire.EdgeRequest
		must(c.server.t, request.Decode(body))
		c.reply(h.ID, wire.OK, &wire.EdgeReply{Results: make([]wire.EdgeResult, len(request.UserIDs))})
	case wire.TypeImport:
		var request wire.ImportRequest
		must(c.server.t, request.Decode(body))
		c.reply(h.ID, wire.OK, &wire.ImportReply{Results: make([]wire.EdgeResult, len(request.Rows))})
	default:
		c.reply(h.ID, wire.BadRequest, &wire.ErrorReply{Message: "not for me"})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
