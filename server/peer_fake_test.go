package server

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kithgraph/kith/shard"
)

func testIdentity(nodeID string) identity {
	id := identity{NodeID: nodeID, Shards: 4}
	for i := range id.ClusterID {
		id.ClusterID[i] = 0xc0 + byte(i)
		id.ClusterSecret[i] = 0x50 + byte(i)
	}
	return id
}

func testPortIdentity(tb testing.TB, id identity) portIdentity {
	tb.Helper()
	p, err := newPortIdentity(id)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// peerPipes accepts the far ends of pipes, for tests with a fake clock.
type peerPipes struct {
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func newPeerPipes() *peerPipes {
	return &peerPipes{conns: make(chan net.Conn), gone: make(chan struct{})}
}

func (l *peerPipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *peerPipes) Close() error {
	l.once.Do(func() { close(l.gone) })
	return nil
}

func (l *peerPipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *peerPipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.gone:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fakeHandler notes deliveries and lets the test answer them.
type fakeHandler struct {
	answer func(to shard.ID, payload []byte, done func(uint64, error))
}

func (h *fakeHandler) handleDeliver(to shard.ID, payload []byte, done func(uint64, error)) {
	h.answer(to, payload, done)
}

// applyLength answers a delivery with the length of its payload.
func applyLength(_ shard.ID, payload []byte, done func(uint64, error)) {
	done(uint64(len(payload)), nil)
}

// portBench is a peer port and what reaches it.
type portBench struct {
	t       *testing.T
	port    *peerPort
	handler *fakeHandler
	dial    func(ctx context.Context, address string) (net.Conn, error)
	logged  *logLines
	remote  *remotePeers // as another node
}

// newPortBench starts a port over pipes. The caller closes it.
func newPortBench(t *testing.T, limits PeerLimits) *portBench {
	l := newPeerPipes()
	return startPortBench(t, l, l.dial, limits)
}

// newTCPPortBench starts a port over loopback TCP.
func newTCPPortBench(t *testing.T, limits PeerLimits) *portBench {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	return startPortBench(t, l, dial, limits)
}

func startPortBench(t *testing.T, l net.Listener, dial func(context.Context, string) (net.Conn, error), limits PeerLimits) *portBench {
	t.Helper()
	if err := limits.validate(); err != nil {
		t.Fatal(err)
	}
	b := &portBench{t: t, dial: dial, handler: &fakeHandler{answer: applyLength}, logged: &logLines{}}
	logger := slog.New(slog.NewTextHandler(b.logged, nil))
	b.port = startPeerPort(peerPortOptions{
		listener: l, identity: testPortIdentity(t, testIdentity("node-b")), handler: b.handler, limits: limits.withDefaults(),
		now: time.Now, random: rand.Reader, logger: logger, ended: func(err error) { t.Error(err) },
	})
	b.remote = b.newRemote(testIdentity("node-a"), peerAddress{NodeID: "node-b", Address: "b"})
	return b
}

// newRemote is another node, that takes at for the leader of every shard.
func (b *portBench) newRemote(id identity, at peerAddress) *remotePeers {
	return newRemotePeers(remotePeersOptions{
		leader:   func(shard.ID) (peerAddress, bool, error) { return at, false, nil },
		dial:     func(ctx context.Context, address string) (net.Conn, error) { return b.dial(ctx, address) },
		identity: testPortIdentity(b.t, id), limits: b.port.limits, now: time.Now, random: rand.Reader,
		logger: slog.New(slog.NewTextHandler(b.logged, nil)),
	})
}

func (b *portBench) close() {
	b.t.Helper()
	b.remote.close()
	if err := b.port.close(); err != nil {
		b.t.Error(err)
	}
	unproven, proven := b.port.connections()
	if unproven != 0 || proven != 0 || len(b.port.mu.proven) != 0 {
		b.t.Errorf("%d and %d connections are left", unproven, proven)
	}
	if left := b.port.memory.left.Load(); left != b.port.limits.MemoryBytes {
		b.t.Errorf("%d bytes of memory are not given back", b.port.limits.MemoryBytes-left)
	}
}

// outcome is what a call came to.
type outcome struct {
	applied uint64
	err     error
}

// deliver starts a request; more than one answer to it panics.
func deliver(p peers, to shard.ID, payload []byte) <-chan outcome {
	answers := make(chan outcome, 1)
	var once sync.Mutex
	p.Deliver(to, payload, func(applied uint64, err error) {
		if !once.TryLock() {
			panic("a delivery was answered twice")
		}
		answers <- outcome{applied, err}
	})
	return answers
}

// holdAll leaves deliveries undecided until release.
func (b *portBench) holdAll() (release func()) {
	var held []func(uint64, error)
	var mu sync.Mutex
	b.handler.answer = func(_ shard.ID, _ []byte, done func(uint64, error)) {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, done)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		for _, done := range held {
			done(1, nil)
		}
	}
}

// mustDial returns a connection to the port that has said nothing.
func (b *portBench) mustDial() net.Conn {
	b.t.Helper()
	nc, err := b.dial(context.Background(), "")
	if err != nil {
		b.t.Fatal(err)
	}
	return nc
}

// mustOpen returns a connection that has proved itself.
func (b *portBench) mustOpen() *linkConn {
	b.t.Helper()
	c, err := b.remote.dialer.dialPeer(context.Background(), peerAddress{NodeID: "node-b"})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// readToEnd returns what still comes, until the other side closes.
func readToEnd(nc net.Conn) []byte {
	all, _ := io.ReadAll(nc)
	nc.Close()
	return all
}

// logLines keeps what was logged.
type logLines struct {
	mu   sync.Mutex
	text []byte
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
