package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// patience bounds every wait of these tests: a test that meets it has failed.
const patience = time.Minute

// statusGroup is a fakeGroup that reads can use, too.
type statusGroup struct{ *fakeGroup }

func (g statusGroup) Status() raftfsm.GroupStatus {
	return raftfsm.GroupStatus{Leader: g.Ready(), LeaderID: "n1", Ready: g.Ready(), Term: 1}
}

// connBench is a whole server but for disk and Raft: real connections, the real
// write side, fake groups.
type connBench struct {
	*Server
	tb     testing.TB
	writes *writeBench
	hold   atomic.Pointer[chan struct{}] // while set, no write is decided
	net    func() (net.Conn, error)      // connects to the server
}

var testSecret = [16]byte{0: 'k', 15: 'h'}

// newConnBench starts a server of four shards on loopback; tweak may change its options.
// At the test's end the server must stop in order and leave no goroutine.
func newConnBench(tb testing.TB, tweak func(o *Options)) *connBench {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, before) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return startConnBench(tb, listener, func() (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) }, tweak)
}

func startConnBench(tb testing.TB, listener net.Listener, dial func() (net.Conn, error), tweak func(o *Options)) *connBench {
	tb.Helper()
	o := Options{Listener: listener, Now: time.Now, Version: "test"}
	if tweak != nil {
		tweak(&o)
	}
	b := &connBench{tb: tb, net: dial}
	b.writes = newWriteBench(tb, shard.DefaultShards, func(w *writeBench, _ *writerOptions) {
		for _, g := range w.groups {
			g.fate = b.fate
		}
	})
	id := identity{ClusterID: sha128("cluster"), NodeID: "n1", Shards: shard.DefaultShards, ClusterSecret: testSecret}
	s, err := newServer(o.withDefaults(), id)
	if err != nil {
		tb.Fatal(err)
	}
	b.Server = s
	b.Server.writes = b.writes.writer
	for _, g := range b.writes.groups {
		b.groups = append(b.groups, statusGroup{g})
	}
	b.serve()
	tb.Cleanup(func() { b.stop() })
	return b
}

// fate is what becomes of a log entry: it is applied, as soon as writes are not held.
func (b *connBench) fate() fate {
	if hold := b.hold.Load(); hold != nil {
		<-*hold
	}
	return isApplied
}

// holdWrites keeps all writes from being decided until release.
func (b *connBench) holdWrites() (release func()) {
	hold := make(chan struct{})
	b.hold.Store(&hold)
	return func() {
		b.hold.Store(nil)
		close(hold)
	}
}

func sha128(text string) (id [16]byte) {
	sum := sha256.Sum256([]byte(text))
	copy(id[:], sum[:])
	return id
}

// stop shuts the server down, which must succeed in order.
func (b *connBench) stop() {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		b.tb.Errorf("shutdown: %v", err)
	}
}

// follow makes edges "me target..." through the write side, with times from base on.
func (b *connBench) follow(me string, targets ...string) {
	b.tb.Helper()
	if got := b.writes.do(follow(me, targets...)); got.Code != wire.OK || got.Pending {
		b.tb.Fatalf("follow: %s", results(got))
	}
}

// testClient speaks the protocol frame by frame, rightly or wrongly.
type testClient struct {
	tb testing.TB
	nc net.Conn
	in []byte // received and not looked at
	// magic says that the server's magic has been seen.
	magic bool
}

// dial connects without a hello.
func (b *connBench) dial() *testClient {
	b.tb.Helper()
	nc, err := b.net()
	if err != nil {
		b.tb.Fatal(err)
	}
	c := &testClient{tb: b.tb, nc: nc}
	c.nc.SetDeadline(time.Now().Add(patience))
	b.tb.Cleanup(func() { nc.Close() })
	return c
}

// connect is dial with a hello that must be accepted.
func (b *connBench) connect() *testClient {
	b.tb.Helper()
	c := b.dial()
	c.hello(nil)
	var reply wire.HelloReply
	c.want(1, wire.OK, &reply)
	return c
}

func (c *testClient) hello(credentials []byte) {
	m := wire.NewHello(0, credentials)
	c.send(wire.AppendOpening(nil, 1, &m))
}

func (c *testClient) send(b []byte) {
	c.tb.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.tb.Fatalf("send: %v", err)
	}
}

// request sends the frame of a request.
func (c *testClient) request(t wire.Type, id uint32, m wire.Message) {
	c.tb.Helper()
	c.send(wire.AppendRequest(nil, t, id, m))
}

// ask is request, for an answer that must be ok.
func (c *testClient) ask(t wire.Type, id uint32, m, reply wire.Message) {
	c.tb.Helper()
	c.request(t, id, m)
	c.want(id, wire.OK, reply)
}

// receive returns the next frame; the body is the caller's. The error is what
// reading ended with.
func (c *testClient) receive() (h wire.Header, body []byte, err error) {
	for {
		var rest []byte
		if c.magic {
			h, body, rest, err = wire.NextFrame(c.in, wire.MaxBodyBytes)
		} else {
			h, body, rest, err = wire.NextOpening(c.in)
		}
		if err == nil {
			c.magic, c.in = true, rest
			return h, bytes.Clone(body), nil
		}
		if !errors.Is(err, wire.ErrIncomplete) {
			return h, nil, err
		}
		chunk := make([]byte, 4096)
		n, err := c.nc.Read(chunk)
		if n == 0 && err != nil {
			return h, nil, err
		}
		c.in = append(c.in, chunk[:n]...)
	}
}

// want receives a frame, which must answer that request with that code, and
// decodes it into reply unless that is nil.
func (c *testClient) want(id uint32, code wire.Code, reply wire.Message) {
	c.tb.Helper()
	h, body, err := c.receive()
	if err != nil {
		c.tb.Fatalf("no answer to request %d: %v", id, err)
	}
	if h.ID != id || h.Code() != code || h.More() {
		c.tb.Fatalf("request %d was answered %v (more %t) %q, want %v for %d", h.ID, h.Code(), h.More(), body, code, id)
	}
	if reply == nil {
		return
	}
	if err := reply.Decode(body); err != nil {
		c.tb.Fatalf("reply to %d: %v", id, err)
	}
}

// wantError is want for an error, whose message must contain text.
func (c *testClient) wantError(id uint32, code wire.Code, text string) {
	c.tb.Helper()
	var reply wire.ErrorReply
	c.want(id, code, &reply)
	if !bytes.Contains([]byte(reply.Message), []byte(text)) {
		c.tb.Errorf("request %d failed with %q, which does not say %q", id, reply.Message, text)
	}
}

// wantClosed reads to the connection's end, where nothing may be left.
func (c *testClient) wantClosed() {
	c.tb.Helper()
	h, body, err := c.receive()
	if err == nil {
		c.tb.Fatalf("got a frame %+v %q, want the end of the connection", h, body)
	}
	if errors.Is(err, wire.ErrIncomplete) || isTimeout(err) {
		c.tb.Fatalf("the connection is still open: %v", err)
	}
	if len(c.in) > 0 {
		c.tb.Errorf("%d stray bytes at the end", len(c.in))
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// alive makes sure that the connection answers.
func (c *testClient) alive() {
	c.tb.Helper()
	c.ask(wire.TypePing, 77, &wire.Ping{}, &wire.PingReply{})
}

func (c *testClient) closeWrite() { _ = c.nc.(*net.TCPConn).CloseWrite() }

// drain reads until the connection ends and returns how much came.
func (c *testClient) drain() int64 {
	n, _ := io.Copy(io.Discard, c.nc)
	return n
}

// check asks for the follow types of others as seen by me, as a digit each.
func (c *testClient) check(me string, others ...string) string {
	c.tb.Helper()
	var reply wire.CheckReply
	c.ask(wire.TypeCheck, 5, &wire.CheckRequest{Me: []byte(me), UserIDs: ids(others...)}, &reply)
	text := ""
	for _, r := range reply.Results {
		if r.Code() != wire.OK {
			text += r.Code().String()
			continue
		}
		text += fmt.Sprint(r.FollowType())
	}
	return text
}

func ids(names ...string) [][]byte {
	all := make([][]byte, len(names))
	for i, name := range names {
		all[i] = []byte(name)
	}
	return all
}

// numbered returns n ids with a prefix.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return all
}

// eventually waits until the condition holds, looking again whenever another
// goroutine may have run.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}
