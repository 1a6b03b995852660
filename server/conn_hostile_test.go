package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithgraph/kith/wire"
)

// frame returns a request frame with any body.
func frame(t wire.Type, id uint32, body ...byte) []byte {
	b := wire.BeginRequest(nil, t, id)
	return wire.EndFrame(append(b, body...), 0)
}

// aliveBeside runs a hostile act while another client must notice nothing.
func aliveBeside(t *testing.T, b *connBench, act func()) {
	t.Helper()
	other := b.connect()
	other.alive()
	act()
	other.alive()
}

func TestOpeningsThatAreRefused(t *testing.T) {
	hello := func(change func(m *wire.Hello)) []byte {
		m := wire.NewHello(0, nil)
		change(&m)
		return wire.AppendOpening(nil, 1, &m)
	}
	magic := func(b []byte) []byte { return append([]byte(wire.Magic), b...) }
	b := newConnBench(t, nil)
	for _, c := range []struct {
		name string
		send []byte
		id   uint32
		says string
	}{
		{"wrong magic", []byte("GET / HTTP/1.1\r\n\r\n"), 0, "not the kith protocol"},
		{"wrong last byte of the magic", []byte("KITS"), 0, "not the kith protocol"},
		{"unknown version", hello(func(m *wire.Hello) { m.MinVersion, m.MaxVersion = 7, 9 }), 1, "versions 1 to 1"},
		{"versions upside down", hello(func(m *wire.Hello) { m.MinVersion, m.MaxVersion = 2, 1 }), 1, "versions 1 to 1"},
		{"no hello", magic(frame(wire.TypePing, 3)), 3, "must be a hello"},
		{"a write before the hello", magic(frame(wire.TypeFollow, 3, 0, 1, 'a', 1, 1, 'b')), 3, "must be a hello"},
		{"truncated hello", magic(frame(wire.TypeHello, 4, 1, 1, 0)), 4, "truncated"},
		{"empty hello", magic(frame(wire.TypeHello, 4)), 4, "truncated"},
		{"bytes behind the hello", magic(frame(wire.TypeHello, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9)), 4, "after the message"},
		{"large hello", magic(frame(wire.TypeHello, 4, make([]byte, wire.MaxOpeningBytes+1)...)), 4, "larger than"},
		{"4 GiB length", magic(bytes.Repeat([]byte{0xff}, 8)), 0xffffffff, "larger than"},
		{"long credentials", hello(func(m *wire.Hello) { m.Credentials = make([]byte, wire.MaxCredentialsBytes+1) }), 1, "at most 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := b.dial()
			bad.tb = t
			bad.send(c.send)
			bad.wantError(c.id, wire.BadRequest, c.says)
			bad.wantClosed()
		})
	}
	b.connect().alive()
}

func TestOpeningInPiecesIsAccepted(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.dial()
	m := wire.NewHello(0, make([]byte, 4000))
	opening := wire.AppendRequest(wire.AppendOpening(nil, 1, &m), wire.TypePing, 2, &wire.Ping{})
	for _, one := range opening {
		c.send([]byte{one})
	}
	c.want(1, wire.OK, &wire.HelloReply{})
	c.want(2, wire.OK, &wire.PingReply{})
}

func TestRequestsThatAreRefused(t *testing.T) {
	b := newConnBench(t, nil)
	b.follow("alice", "bob")
	c := b.connect()
	long := strings.Repeat("x", 129)
	edge := func(me string, targets ...string) wire.Message {
		return &wire.EdgeRequest{Me: []byte(me), UserIDs: ids(targets...)}
	}
	check := func(me string, others ...string) wire.Message {
		return &wire.CheckRequest{Me: []byte(me), UserIDs: ids(others...)}
	}
	list := func(user, cursor string, limit uint16) wire.Message {
		return &wire.ListRequest{User: []byte(user), Cursor: []byte(cursor), Limit: limit}
	}
	for _, r := range []struct {
		name string
		typ  wire.Type
		body wire.Message
		code wire.Code
		says string
	}{
		{"21 targets", wire.TypeFollow, edge("me", numbered("t", 21)...), wire.BadRequest, "at most 20 user ids"},
		{"21 targets to unfollow", wire.TypeUnfollow, edge("me", numbered("t", 21)...), wire.BadRequest, "at most 20 user ids"},
		{"no target", wire.TypeFollow, edge("me"), wire.BadRequest, "at least one"},
		{"nobody follows", wire.TypeFollow, edge("", "bob"), wire.BadRequest, "empty"},
		{"long me", wire.TypeFollow, edge(long, "bob"), wire.BadRequest, "the limit is 128"},
		{"me is not UTF-8", wire.TypeUnfollow, edge("\xff", "bob"), wire.BadRequest, "UTF-8"},
		{"me has a control character", wire.TypeCheck, check("a\x00", "bob"), wire.BadRequest, "control character"},
		{"empty me", wire.TypeCheck, check("", "bob"), wire.BadRequest, "empty"},
		{"101 to check", wire.TypeCheck, check("me", numbered("t", 101)...), wire.BadRequest, "at most 100"},
		{"none to check", wire.TypeCheck, check("me"), wire.BadRequest, "at least one"},
		{"101 to tell of", wire.TypeInfo, &wire.InfoRequest{UserIDs: ids(numbered("t", 101)...)}, wire.BadRequest, "at most 100"},
		{"info of oneself without a self", wire.TypeInfo, &wire.InfoRequest{}, wire.BadRequest, "name no user"},
		{"a page of 501", wire.TypeFollowers, list("alice", "", 501), wire.BadRequest, "at most 500"},
		{"list of nobody", wire.TypeMutuals, list("", "", 1), wire.BadRequest, "empty"},
		{"list of a long name", wire.TypeFollowing, list(long, "", 1), wire.BadRequest, "the limit is 128"},
		{"forged cursor", wire.TypeFollowing, list("alice", strings.Repeat("A", cursorChars), 1), wire.BadCursor, "cursor"},
		{"long cursor", wire.TypeFollowing, list("alice", strings.Repeat("A", 64<<10), 1), wire.BadCursor, "cursor"},
		{"cursor for a user that nobody knows", wire.TypeFollowing, list("nobody", strings.Repeat("A", cursorChars), 1), wire.BadCursor, "cursor"},
		{"flags that mean nothing", wire.TypeCheck, &wire.CheckRequest{Flags: 4, Me: []byte("a"), UserIDs: ids("b")}, wire.BadRequest, "reserved flag"},
		{"level that means nothing", wire.TypeInfo, &wire.InfoRequest{Flags: 3, UserIDs: ids("b")}, wire.BadRequest, "reserved flag"},
		{"1,001 rows", wire.TypeImport, &wire.ImportRequest{Rows: make([]wire.ImportRow, 1001)}, wire.BadRequest, "at most 1000 rows"},
		{"no rows", wire.TypeImport, &wire.ImportRequest{}, wire.BadRequest, "at least one"},
		{"export from nowhere", wire.TypeExport, &wire.ExportRequest{Start: wire.ExportPosition{Shard: 4}}, wire.BadRequest, "not a position"},
		{"second hello", wire.TypeHello, &wire.Hello{}, wire.BadRequest, "has had its hello"},
		{"unknown type", 99, &wire.Ping{}, wire.BadRequest, "unknown request type 99"},
		{"ping with a body", wire.TypePing, &wire.Credit{}, wire.BadRequest, "after the message"},
		{"status with a body", wire.TypeStatus, &wire.Credit{}, wire.BadRequest, "after the message"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c.tb = t
			c.request(r.typ, 9, r.body)
			c.wantError(9, r.code, r.says)
			c.alive()
		})
	}
	if users, _ := c.walk(wire.TypeFollowing, "me", 10); len(users) != 0 {
		t.Errorf("refused requests left edges: %v", users)
	}
}

// TestTruncatedBodies cuts every request at every byte: each is a bad request,
// and the connection goes on.
func TestTruncatedBodies(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.connect()
	for typ, m := range map[wire.Type]wire.Message{
		wire.TypeFollow:    &wire.EdgeRequest{Me: []byte("me"), UserIDs: ids("a", "b")},
		wire.TypeFollowers: &wire.ListRequest{User: []byte("me"), Cursor: []byte("c"), Limit: 3},
		wire.TypeInfo:      &wire.InfoRequest{UserIDs: ids("a", "b")},
		wire.TypeCheck:     &wire.CheckRequest{Me: []byte("me"), UserIDs: ids("a")},
		wire.TypeImport:    &wire.ImportRequest{Rows: []wire.ImportRow{{Follower: []byte("a"), Followee: []byte("b")}}},
		wire.TypeExport:    &wire.ExportRequest{Credits: 1},
	} {
		body := m.Append(nil)
		for n := range body {
			c.send(frame(typ, 9, body[:n]...))
			c.want(9, wire.BadRequest, nil)
		}
	}
	c.alive()
}

func TestFramesThatEndTheConnection(t *testing.T) {
	b := newConnBench(t, nil)
	for _, f := range []struct {
		name string
		send []byte
		id   uint32
		says string
	}{
		{"4 GiB length", bytes.Repeat([]byte{0xff}, 8), 0xffffffff, "1048576 bytes"},
		{"a byte too long", binary.LittleEndian.AppendUint64(nil, 1<<20+1|uint64(wire.TypePing)<<24|5<<32), 5, "1048576 bytes"},
		{"request id 0", frame(wire.TypePing, 0), 0, "request id 0"},
		{"malformed credit", frame(wire.TypeCredit, 5, 1), 0, "truncated"},
		{"malformed cancel", frame(wire.TypeCancel, 5, 1), 0, "after the message"},
	} {
		t.Run(f.name, func(t *testing.T) {
			c := b.connect()
			c.tb = t
			c.send(append(frame(wire.TypePing, 4), f.send...))
			c.want(4, wire.OK, nil)
			c.wantError(f.id, wire.BadRequest, f.says)
			c.wantClosed()
		})
	}
}

func TestConnectionsThatBreakOff(t *testing.T) {
	b := newConnBench(t, nil)
	aliveBeside(t, b, func() {
		request := wire.AppendRequest(nil, wire.TypeCheck, 3, &wire.CheckRequest{Me: []byte("me"), UserIDs: ids("a")})
		for n := range request {
			c := b.connect()
			c.send(request[:n])
			if n%2 == 0 {
				_ = c.nc.(*net.TCPConn).SetLinger(0) // reset instead of an orderly end
			}
			c.nc.Close()
		}
		eventually(t, "the connections are forgotten", func() bool { return b.clients.count() == 1 })
	})
}

// TestHalfClosedConnectionGetsItsAnswers covers a client that sends and then
// closes its side.
func TestHalfClosedConnectionGetsItsAnswers(t *testing.T) {
	b := newConnBench(t, nil)
	c := b.connect()
	c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")})
	c.request(wire.TypePing, 3, &wire.Ping{})
	c.closeWrite()
	seen := map[uint32]wire.Code{}
	for range 2 {
		h, _, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		seen[h.ID] = h.Code()
	}
	if len(seen) != 2 || seen[2] != wire.OK || seen[3] != wire.OK {
		t.Errorf("answers: %v", seen)
	}
	c.wantClosed()
}

func TestTooManyConnections(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.Connections = 3 })
	first := b.connect()
	silent := []*testClient{b.dial(), b.dial()}
	eventually(t, "the connections are taken in", func() bool { return b.clients.count() == 3 })
	for range 5 {
		c := b.dial()
		c.hello(nil)
		c.wantError(wire.ConnectionID, wire.Unavailable, "as many connections")
		c.wantClosed()
	}
	first.alive()
	for _, c := range silent {
		c.nc.Close()
	}
	eventually(t, "places are free again", func() bool { return b.clients.count() == 1 })
	b.connect().alive()
}

// TestSilentStrangersMakeRoom has more connections without a hello than there may
// be: the oldest goes, and who says hello gets in.
func TestSilentStrangersMakeRoom(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.PendingHellos = 2 })
	friend := b.connect()
	var silent []*testClient
	for i := range 2 {
		silent = append(silent, b.dial())
		eventually(t, "the connection is taken in", func() bool { return b.clients.count() == 2+i })
	}
	b.connect().alive()
	silent[0].wantClosed()
	silent[1].hello(nil)
	silent[1].want(1, wire.OK, &wire.HelloReply{})
	friend.alive()
}

// farListener makes connections look as if they came from other hosts.
type farListener struct {
	net.Listener
	addr atomic.Pointer[net.TCPAddr]
}

type farConn struct {
	*net.TCPConn
	addr net.Addr
}

func (c farConn) RemoteAddr() net.Addr { return c.addr }

func (l *farListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{nc.(*net.TCPConn), l.addr.Load()}, nil
}

func TestTooManyConnectionsFromOneAddress(t *testing.T) {
	var far *farListener
	b := newConnBench(t, func(o *Options) {
		far = &farListener{Listener: o.Listener}
		o.Listener, o.Limits.ConnectionsPerAddress = far, 2
	})
	from := func(ip string) { far.addr.Store(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1}) }
	for _, ip := range [][3]string{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
		{"2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1"},
	} {
		from(ip[0])
		first := b.connect()
		from(ip[1])
		b.connect()
		refused := b.dial()
		refused.wantError(wire.ConnectionID, wire.Unavailable, "from this address")
		refused.wantClosed()
		from(ip[2])
		b.connect()
		before := b.clients.count()
		first.nc.Close()
		eventually(t, "a place is free again", func() bool { return b.clients.count() < before })
		from(ip[0])
		b.connect()
	}
	from("127.0.0.1")
	for range 3 {
		b.connect()
	}
}

// TestFloodWithoutReading has clients pipeline without ever reading an answer:
// they are not read from any more, memory stays bounded, and others do not notice.
func TestFloodWithoutReading(t *testing.T) {
	b := newConnBench(t, func(o *Options) {
		o.Limits.InFlight, o.Limits.OutputBytes = 64, 16<<10
	})
	for i := range 40 {
		b.follow("me", numbered(fmt.Sprint("user with a rather long name ", i, "-"), 20)...)
	}
	for name, request := range map[string][]byte{
		"lists":   wire.AppendRequest(nil, wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("me"), Limit: 500}),
		"checks":  wire.AppendRequest(nil, wire.TypeCheck, 3, &wire.CheckRequest{Me: []byte("me"), UserIDs: ids(numbered("u", 100)...)}),
		"status":  wire.AppendRequest(nil, wire.TypeStatus, 3, &wire.StatusRequest{}),
		"writes":  wire.AppendRequest(nil, wire.TypeFollow, 3, &wire.EdgeRequest{Me: []byte("me"), UserIDs: ids("bob")}),
		"refused": frame(99, 3),
	} {
		t.Run(name, func(t *testing.T) {
			before := heapBytes()
			aliveBeside(t, b, func() {
				flood(t, b, request)
				if grown := heapBytes() - before; grown > 24<<20 {
					t.Errorf("the heap has grown by %d bytes", grown)
				}
			})
		})
	}
}

// flood sends a request on several connections until the server takes no more,
// leaves the answers, and checks that another client is served all the while.
func flood(t *testing.T, b *connBench, request []byte) {
	t.Helper()
	requests := bytes.Repeat(request, 1+(32<<10)/len(request))
	other := b.connect()
	for range 4 {
		c := b.connect()
		sent := 0
		for blocked := false; !blocked; {
			_ = c.nc.SetWriteDeadline(time.Now().Add(30 * time.Millisecond))
			n, err := c.nc.Write(requests)
			sent += n
			if blocked = isTimeout(err); err != nil && !blocked {
				t.Fatal(err)
			}
			if sent > 256<<20 {
				t.Fatal("the server reads on although nobody takes its answers")
			}
			other.alive()
		}
	}
}

// TestUnreadAnswersShareABudget has more clients that never read than there is
// memory for what they hold: those who have taken nothing for longest are closed.
func TestUnreadAnswersShareABudget(t *testing.T) {
	const size = 512 << 10
	b := newConnBench(t, func(o *Options) {
		o.Limits.UnreadMemoryBytes, o.Limits.OutputBytes = size, 16<<10
	})
	for i := range 25 {
		b.follow("me", numbered(fmt.Sprintf("%0110d-", i), 20)...)
	}
	before := b.memory.left.Load()
	lists := wire.AppendRequest(nil, wire.TypeFollowing, 3, &wire.ListRequest{User: []byte("me"), Limit: 500})
	writes := wire.AppendRequest(nil, wire.TypeFollow, 3, &wire.EdgeRequest{Me: []byte("me"), UserIDs: ids("bob")})
	var floods sync.WaitGroup
	var silent []*testClient
	for i := range 20 {
		c := b.connect()
		silent = append(silent, c)
		requests := bytes.Repeat([][]byte{lists, writes}[i%2], 1000)
		floods.Go(func() {
			for { // until the server has closed the connection, or the test has
				if _, err := c.nc.Write(requests); err != nil {
					return
				}
			}
		})
	}
	eventually(t, "some connections are closed", func() bool { return b.clients.count() < 15 })
	b.unread.mu.Lock()
	held := b.unread.mu.held
	b.unread.mu.Unlock()
	if held > size {
		t.Errorf("%d bytes are held", held)
	}
	for _, c := range silent {
		c.nc.Close()
	}
	floods.Wait()
	eventually(t, "all is given back", func() bool {
		b.unread.mu.Lock()
		defer b.unread.mu.Unlock()
		return b.clients.count() == 0 && b.unread.mu.held == 0 && b.unread.mu.oldest == nil && b.memory.left.Load() == before
	})
	b.connect().alive()
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLargeFramesShareABudget fills the memory for read buffers with frames that
// never end.
func TestLargeFramesShareABudget(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.RequestMemoryBytes = 512 << 10 })
	aliveBeside(t, b, func() {
		part := frame(wire.TypeImport, 3, make([]byte, 1<<20)...)[:600<<10]
		for range 3 {
			c := b.connect()
			c.send(part)
			c.wantError(wire.ConnectionID, wire.Unavailable, "memory")
			c.wantClosed()
		}
	})
	eventually(t, "the budget is given back", func() bool { return b.memory.left.Load() == 512<<10 })
}

// TestRequestsBeyondTheBudgetAreUnavailable holds writes until the memory for
// them is used up.
func TestRequestsBeyondTheBudgetAreUnavailable(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.RequestMemoryBytes = 4 << 10 })
	release := b.holdWrites()
	c := b.connect()
	write := &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")}
	for id := uint32(2); id < 12; id++ {
		c.request(wire.TypeFollow, id, write)
	}
	for id := uint32(5); id < 12; id++ {
		c.wantError(id, wire.Unavailable, "memory")
	}
	release()
	for range 3 {
		if h, _, err := c.receive(); err != nil || h.Code() != wire.OK {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	c.ask(wire.TypeFollow, 20, write, &wire.EdgeReply{})
}

// TestInFlightLimitStopsReading lets two writes wait; the third is not read, nor
// what follows it, until one is answered.
func TestInFlightLimitStopsReading(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.InFlight = 2 })
	release := b.holdWrites()
	c := b.connect()
	for id := uint32(2); id < 6; id++ {
		c.request(wire.TypeFollow, id, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids(fmt.Sprint("u", id))})
	}
	c.request(wire.TypePing, 9, &wire.Ping{})
	_ = c.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if h, _, err := c.receive(); !isTimeout(err) {
		t.Fatalf("an answer came: %+v, %v", h, err)
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	release()
	for range 5 {
		if _, _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExportLeavesRoomInFlight asks for an export, a write that takes all room in
// flight, and then gives the credit that the export waits for.
func TestExportLeavesRoomInFlight(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Limits.InFlight = 1 })
	b.follow("alice", "bob")
	c := b.connect()
	c.request(wire.TypeExport, 3, &wire.ExportRequest{})
	c.request(wire.TypeFollow, 4, &wire.EdgeRequest{Me: []byte("a"), UserIDs: ids("b")})
	c.want(4, wire.OK, &wire.EdgeReply{})
	c.request(wire.TypeCredit, 3, &wire.Credit{Credits: 100})
	for {
		h, body, err := c.receive()
		if err != nil || h.ID != 3 || h.Code() != wire.OK {
			t.Fatalf("%+v %q %v", h, body, err)
		}
		if !h.More() {
			return
		}
	}
}

// TestRandomBytesNeverHarm throws noise behind a good hello.
func TestRandomBytesNeverHarm(t *testing.T) {
	rng := newRand(t)
	b := newConnBench(t, func(o *Options) { o.Limits.Frame = 100 * time.Millisecond })
	aliveBeside(t, b, func() {
		for range 100 {
			c := b.connect()
			var noise []byte
			for range 1 + rng.IntN(20) {
				body := make([]byte, rng.IntN(40))
				for i := range body {
					body[i] = byte(rng.Uint32() >> (rng.IntN(4) * 8))
				}
				noise = append(noise, frame(wire.Type(rng.IntN(40)), rng.Uint32(), body...)...)
			}
			noise[rng.IntN(len(noise))] ^= byte(rng.Uint32())
			if _, err := c.nc.Write(noise); err != nil && !errors.Is(err, io.EOF) {
				continue // refused before the end
			}
			c.closeWrite()
			c.drain()
		}
	})
}
