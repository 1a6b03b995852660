package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/shard"
)

// inPortBubble runs a test of a port over pipes under a fake clock, and insists
// that a friend is still served at its end.
func inPortBubble(t *testing.T, limits PeerLimits, test func(t *testing.T, b *portBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newPortBench(t, limits)
		test(t, b)
		b.handler.answer = applyLength
		if got := <-deliver(b.remote, 1, []byte("friend")); got.err != nil || got.applied != 6 {
			t.Errorf("a friend is answered %+v", got)
		}
		b.close()
	})
}

// hello returns what a dialer of the cluster would send first, after change.
func (b *portBench) hello(change func(h *portHello)) []byte {
	hello := portHello{MinVersion: 1, MaxVersion: 1, MaxBodyBytes: 1 << 20, ClusterID: b.port.identity.ClusterID, NodeID: "node-x"}
	if change != nil {
		change(&hello)
	}
	return appendOpeningFrame([]byte(portMagic), portHelloKind, &hello)
}

func TestPortRefusesBadOpenings(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		deliverFrame := appendDeliverRequest(nil, 0, 1, 1, []byte("x"))
		for name, c := range map[string]struct {
			send []byte
			want string // in the log
		}{
			"another protocol":   {[]byte("GET / HTTP/1.1\r\n\r\n"), errPortMagic.Error()},
			"frame before hello": {append([]byte(portMagic), deliverFrame...), errPortUnexpected.Error()},
			"bytes behind hello": {append(b.hello(nil), deliverFrame...), errPortUnexpected.Error()},
			"other cluster":      {b.hello(func(h *portHello) { h.ClusterID[0]++ }), errPortCluster.Error()},
			"old version":        {b.hello(func(h *portHello) { h.MinVersion, h.MaxVersion = 0, 0 }), errPortVersion.Error()},
			"new version":        {b.hello(func(h *portHello) { h.MinVersion, h.MaxVersion = 2, 9 }), errPortVersion.Error()},
			"old frame version":  {[]byte(portMagic + "\x00\x01"), errPortVersion.Error()},
			"small frames":       {b.hello(func(h *portHello) { h.MaxBodyBytes = 100 }), errPortCorrupt.Error()},
			"deceiving node id":  {b.hello(func(h *portHello) { h.NodeID = "a\nb" }), errPortCorrupt.Error()},
			"huge length":        {append([]byte(portMagic), 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), errPortFrameLarge.Error()},
			"bad checksum":       {append(b.hello(nil)[:len(b.hello(nil))-1], 'y'), errPortChecksum.Error()},
			"silence":            {nil, errPortOpeningTime.Error()},
			"half a hello":       {b.hello(nil)[:30], errPortOpeningTime.Error()},
		} {
			b.logged.mu.Lock()
			b.logged.text = nil
			b.logged.mu.Unlock()
			begun := time.Now()
			nc := b.mustDial()
			go nc.Write(c.send)
			if answer := readToEnd(nc); len(answer) > 0 {
				t.Errorf("%s: answered %x", name, answer)
			}
			if took := time.Since(begun); took > b.port.limits.Opening {
				t.Errorf("%s: held for %v", name, took)
			}
			synctest.Wait()
			if got := b.logged.String(); !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s: logged %q", name, got)
			}
			<-time.After(rareLogPeriod) // the next one has its own line
		}
	})
}

func TestPortRefusesWrongProofs(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		wrongSecret := testIdentity("node-a")
		wrongSecret.ClusterSecret[3]++
		stranger := b.newRemote(wrongSecret, peerAddress{NodeID: "node-b"})
		if got := <-deliver(stranger, 1, []byte("x")); !errors.Is(got.err, errPortUnreachable) {
			t.Errorf("a stranger is answered %+v", got)
		}
		stranger.close()
		synctest.Wait() // the port logs after it has closed the connection
		if !strings.Contains(b.logged.String(), errPortProof.Error()) {
			t.Errorf("logged %q", b.logged.String())
		}

		// Neither what a listener says of itself nor another connection's proof is one.
		recorded := b.record(t)
		for name, proof := range map[string][]byte{"replayed": recorded.proof, "the listener's": recorded.listener} {
			nc := b.mustDial()
			go nc.Write(recorded.hello)
			answer := make([]byte, len(portMagic)+portHeaderBytes+56)
			if _, err := io.ReadFull(nc, answer); err != nil {
				t.Fatal(err)
			}
			go nc.Write(proof)
			if rest := readToEnd(nc); len(rest) > 0 {
				t.Errorf("%s: welcomed by %x", name, rest)
			}
		}
	})
}

// recording is what a node said in an opening that went well.
type recording struct{ hello, proof, listener []byte }

func (b *portBench) record(t *testing.T) recording {
	t.Helper()
	near := b.mustDial()
	tap := &tappedConn{Conn: near}
	c := &linkConn{nc: tap, in: portStream{nc: tap, now: time.Now, in: readBuffer{pool: &b.remote.dialer.inputs, memory: b.remote.dialer.memory}}}
	if err := b.remote.dialer.open(c, ""); err != nil {
		t.Fatal(err)
	}
	tap.Close()
	hello := tap.sent[:len(tap.sent)-portHeaderBytes-portProofBytes]
	proof := tap.sent[len(hello):]
	listener := appendOpeningFrame(nil, portProofKind, &portProof{Proof: [32]byte(tap.received[len(tap.received)-32:])})
	return recording{hello, proof, listener}
}

type tappedConn struct {
	net.Conn
	sent, received []byte
}

func (c *tappedConn) Write(b []byte) (int, error) {
	c.sent = append(c.sent, b...)
	return c.Conn.Write(b)
}

func (c *tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received = append(c.received, b[:n]...)
	return n, err
}

func TestDialerRefusesBadListeners(t *testing.T) {
	for name, c := range map[string]struct {
		listener func(id *identity)
		at       peerAddress
		want     error
	}{
		"another node":  {func(id *identity) {}, peerAddress{NodeID: "node-c"}, errPortOtherNode},
		"other cluster": {func(id *identity) { id.ClusterID[0]++ }, peerAddress{NodeID: "node-b"}, io.EOF},
		"other secret":  {func(id *identity) { id.ClusterSecret[0]++ }, peerAddress{NodeID: "node-b"}, io.EOF},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newPortBench(t, PeerLimits{})
			id := testIdentity("node-b")
			c.listener(&id)
			b.port.identity = testPortIdentity(t, id)
			r := b.newRemote(testIdentity("node-a"), c.at)
			if got := <-deliver(r, 1, nil); !errors.Is(got.err, c.want) || !errors.Is(got.err, errPortUnreachable) {
				t.Errorf("%s: %v", name, got.err)
			}
			r.close()
			b.close()
		})
	}
}

// TestDialerDistrustsImpostors has a listener answer with bytes of a recorded
// opening: it cannot prove that it knows the secret.
func TestDialerDistrustsImpostors(t *testing.T) {
	id := testPortIdentity(t, testIdentity("node-b"))
	for name, c := range map[string]struct {
		challenge func(c *portChallenge)
		want      error
	}{
		"wrong proof":   {func(*portChallenge) {}, errPortProof},
		"other cluster": {func(c *portChallenge) { c.ClusterID[5]++ }, errPortCluster},
		"other version": {func(c *portChallenge) { c.Version = 2 }, errPortVersion},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPeerPipes()
			b := &portBench{t: t, dial: l.dial, logged: &logLines{}, port: &peerPort{}}
			b.port.limits = PeerLimits{}.withDefaults()
			r := b.newRemote(testIdentity("node-a"), peerAddress{NodeID: "node-b"})
			answer := deliver(r, 1, nil)
			nc, _ := l.Accept()
			challenge := portChallenge{Version: 1, ClusterID: id.ClusterID, NodeID: "node-b"}
			c.challenge(&challenge)
			io.ReadFull(nc, make([]byte, len(portMagic)+portHeaderBytes+61))
			nc.Write(appendOpeningFrame([]byte(portMagic), portChallengeKind, &challenge))
			if _, err := io.ReadFull(nc, make([]byte, portHeaderBytes+portProofBytes)); err == nil {
				nc.Write(appendOpeningFrame(nil, portWelcomeKind, &portWelcome{MaxBodyBytes: 1 << 20}))
			}
			if got := <-answer; !errors.Is(got.err, c.want) {
				t.Errorf("%s: %v", name, got.err)
			}
			nc.Close()
			r.close()
		})
	}
}

func TestPortEndsProvedConnectionsThatMisbehave(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		for name, c := range map[string]struct {
			frame func(seed uint32) []byte
			want  error
		}{
			"hello again":     {func(uint32) []byte { return b.hello(nil)[len(portMagic):] }, errPortChecksum},
			"an answer":       {func(seed uint32) []byte { return (&deliverAnswer{seed: seed}).appendAnswer(nil) }, errPortUnexpected},
			"without a seed":  {func(uint32) []byte { return appendDeliverRequest(nil, 0, 1, 1, nil) }, errPortChecksum},
			"no destination":  {func(seed uint32) []byte { return appendEmptyFrame(nil, seed, portDeliverKind, 1) }, errPortCorrupt},
			"huge length":     {func(uint32) []byte { return []byte{1, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 19: 0} }, errPortFrameLarge},
			"just too long":   {func(uint32) []byte { return []byte{1, 16, 0, 0, 1, 0, 16, 0, 19: 0} }, errPortFrameLarge},
			"half a frame":    {func(uint32) []byte { return []byte{1, 16, 0, 0, 1, 0} }, errPortSlow},
			"silence":         {func(uint32) []byte { return nil }, errPortIdle},
			"unknown version": {func(uint32) []byte { return []byte{7} }, errPortVersion},
		} {
			conn := b.mustOpen()
			go conn.nc.Write(c.frame(conn.in.seed))
			if answer := readToEnd(conn.nc); len(answer) > 0 {
				t.Errorf("%s: answered %x", name, answer)
			}
			conn.in.in.release()
			synctest.Wait()
			if !strings.Contains(b.logged.String(), c.want.Error()) {
				t.Errorf("%s: logged %q", name, b.logged.String())
			}
			<-time.After(rareLogPeriod)
		}
	})
}

func TestPortTellsAnUnknownRequestFromNonsense(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		conn := b.mustOpen()
		go conn.nc.Write(appendEmptyFrame(nil, conn.in.seed, 77, 5))
		f, err := conn.in.next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		var answer deliverAnswer
		if err := answer.decode(f); err != nil || answer.id != 5 || !errors.Is(answer.err, errPortUnsupported) {
			t.Errorf("%+v, %v", answer, err)
		}
		conn.nc.Close()
	})
}

// TestPortKeepsFewSilentStrangers holds the default cap: the newest are kept.
func TestPortKeepsFewSilentStrangers(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		var ended atomic.Int32
		var running sync.WaitGroup
		for i := range 2000 {
			nc := b.mustDial()
			running.Go(func() {
				readToEnd(nc)
				ended.Add(1)
			})
			synctest.Wait()
			if unproven, _ := b.port.connections(); unproven != min(i+1, b.port.limits.PendingProofs) {
				t.Fatalf("%d unproven connections after %d", unproven, i+1)
			}
		}
		// Among them a friend gets in.
		if got := <-deliver(b.remote, 1, []byte("x")); got.err != nil {
			t.Errorf("a friend among strangers: %v", got.err)
		}
		<-time.After(b.port.limits.Opening)
		synctest.Wait()
		if n := ended.Load(); n != 2000 {
			t.Errorf("%d of 2000 silent connections have ended", n)
		}
		running.Wait()
		if lines := strings.Count(b.logged.String(), "\n"); lines > rareLogLines {
			t.Errorf("%d lines were logged", lines)
		}
	})
}

// TestPortHoldsSilentStrangersCheaply is about real sockets, all of them kept
// until the deadline.
func TestPortHoldsSilentStrangersCheaply(t *testing.T) {
	const strangers = 2000
	b := newTCPPortBench(t, PeerLimits{PendingProofs: strangers, Opening: 1500 * time.Millisecond})
	defer b.close()
	before := heapBytes()
	conns := make([]net.Conn, strangers)
	for i := range conns {
		conns[i] = b.mustDial()
	}
	eventually(t, "all connections", func() bool { unproven, _ := b.port.connections(); return unproven == strangers })
	if grown := heapBytes() - before; grown > 24<<20 {
		t.Errorf("%d silent connections take %d bytes, both ends together", strangers, grown)
	} else {
		t.Logf("%d silent connections take %d bytes, both ends together", strangers, grown)
	}
	for _, nc := range conns {
		if rest := readToEnd(nc); len(rest) > 0 {
			t.Fatalf("a silent connection is told %x", rest)
		}
	}
	eventually(t, "the end of them", func() bool { unproven, _ := b.port.connections(); return unproven == 0 })
	if got := <-deliver(b.remote, 1, []byte("x")); got.err != nil {
		t.Error(got.err)
	}
}

// TestPortBoundsAFlood sends requests of which none is answered, as fast as they
// are taken, and reads nothing.
func TestPortBoundsAFlood(t *testing.T) {
	limits := PeerLimits{InFlight: 8, InFlightBytes: 1 << 20, FrameBytes: 256 << 10, MemoryBytes: 2 << 20}
	inPortBubble(t, limits, func(t *testing.T, b *portBench) {
		var taken atomic.Int32
		var undecided []func(uint64, error)
		b.handler.answer = func(_ shard.ID, _ []byte, done func(uint64, error)) {
			taken.Add(1)
			undecided = append(undecided, done)
		}
		conn := b.mustOpen()
		var wrote int
		begun := time.Now()
		for i := range uint64(1000) {
			n, err := conn.nc.Write(appendDeliverRequest(nil, conn.in.seed, i+1, 1, make([]byte, 100<<10)))
			if wrote += n; err != nil {
				break
			}
		}
		if n := taken.Load(); n != 8 {
			t.Errorf("%d requests were taken", n)
		}
		if wrote > 2<<20 {
			t.Errorf("%d bytes were taken", wrote)
		}
		if held := time.Since(begun); held != b.port.limits.Idle {
			t.Errorf("held for %v", held)
		}
		synctest.Wait()
		if !strings.Contains(b.logged.String(), errPortStuck.Error()) {
			t.Errorf("logged %q", b.logged.String())
		}
		for _, done := range undecided { // after the connection's end
			done(1, nil)
		}
		readToEnd(conn.nc)
	})
}

// TestPortBoundsUnreadAnswers sends pings and requests and reads no answer.
func TestPortBoundsUnreadAnswers(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		b.handler.answer = func(_ shard.ID, _ []byte, done func(uint64, error)) { done(0, errShardNotReady) }
		for _, kind := range []portKind{portPingKind, portDeliverKind, 99} {
			conn := b.mustOpen()
			body := []byte{1, 0}
			if kind == portPingKind {
				body = nil
			}
			begun, wrote := time.Now(), 0
			for i := range uint64(1 << 20) {
				frame := append(beginPortFrame(nil, kind, i+1), body...)
				n, err := conn.nc.Write(endPortFrame(frame, 0, conn.in.seed))
				if wrote += n; err != nil {
					break
				}
			}
			if held := time.Since(begun); held > 2*b.port.limits.Write || wrote > 1<<20 {
				t.Errorf("kind %d: held for %v, took %d bytes", kind, held, wrote)
			}
			conn.nc.Close()
			conn.in.in.release()
		}
	})
}

// TestPortRefusesBeyondItsMemory: requests on several connections share one budget.
func TestPortRefusesBeyondItsMemory(t *testing.T) {
	inPortBubble(t, PeerLimits{MemoryBytes: 100 << 10}, func(t *testing.T, b *portBench) {
		var undecided func(uint64, error)
		b.handler.answer = func(_ shard.ID, _ []byte, done func(uint64, error)) { undecided = done }
		first := deliver(b.remote, 1, make([]byte, 60<<10))
		synctest.Wait()
		if got := <-deliver(b.remote, 1, make([]byte, 60<<10)); !errors.Is(got.err, errPortRefused) {
			t.Errorf("%+v", got)
		}
		undecided(5, nil)
		if got := <-first; got.err != nil || got.applied != 5 {
			t.Errorf("%+v", got)
		}
	})
}

// TestPortReplacesTheOldestOfANode: what a crashed node has left half-open does
// not keep it out.
func TestPortReplacesTheOldestOfANode(t *testing.T) {
	inPortBubble(t, PeerLimits{ConnectionsPerNode: 2, Connections: 3}, func(t *testing.T, b *portBench) {
		var conns []*linkConn
		for range 5 {
			conns = append(conns, b.mustOpen())
		}
		for i, conn := range conns[:3] {
			if _, err := conn.nc.Read(make([]byte, 1)); err == nil {
				t.Errorf("connection %d was not replaced", i)
			}
		}
		if _, proven := b.port.connections(); proven != 2 {
			t.Errorf("%d connections", proven)
		}
		other := b.newRemote(testIdentity("node-c"), peerAddress{NodeID: "node-b"})
		if got := <-deliver(other, 1, []byte("xyz")); got.applied != 3 {
			t.Errorf("%+v", got)
		}
		late := b.newRemote(testIdentity("node-d"), peerAddress{NodeID: "node-b"})
		if got := <-deliver(late, 1, nil); got.err == nil {
			t.Error("there is a fourth connection of three")
		}
		if !strings.Contains(b.logged.String(), errPortFull.Error()) {
			t.Errorf("logged %q", b.logged.String())
		}
		other.close()
		late.close()
		for _, conn := range conns {
			conn.nc.Close()
		}
	})
}

// TestPortEndsADrip: bytes of one frame that keep coming do not keep it alive.
func TestPortEndsADrip(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		conn := b.mustOpen()
		frame := appendDeliverRequest(nil, conn.in.seed, 1, 1, make([]byte, 1000))
		begun := time.Now()
		for i := range frame {
			if _, err := conn.nc.Write(frame[i : i+1]); err != nil {
				break
			}
			<-time.After(time.Second)
		}
		if held := time.Since(begun); held > b.port.limits.Frame+time.Second {
			t.Errorf("held for %v", held)
		}
		conn.nc.Close()
	})
}

// TestPortGivesPayloadsAway: what the handler keeps is not overwritten by what
// comes later.
func TestPortGivesPayloadsAway(t *testing.T) {
	inPortBubble(t, PeerLimits{}, func(t *testing.T, b *portBench) {
		var kept [][]byte
		b.handler.answer = func(_ shard.ID, payload []byte, done func(uint64, error)) {
			kept = append(kept, payload)
			done(0, nil)
		}
		for i := range 10 {
			<-deliver(b.remote, 1, bytes.Repeat([]byte{byte(i)}, 500))
		}
		for i, payload := range kept {
			if !bytes.Equal(payload, bytes.Repeat([]byte{byte(i)}, 500)) {
				t.Errorf("payload %d was overwritten", i)
			}
		}
	})
}

// TestPortTakesFramesByTheByte: the largest frame, in pieces, allocates as it comes.
func TestPortTakesFramesByTheByte(t *testing.T) {
	inPortBubble(t, PeerLimits{FrameBytes: portMinBodyBytes}, func(t *testing.T, b *portBench) {
		conn := b.mustOpen()
		payload := bytes.Repeat([]byte{7}, portMinBodyBytes-2)
		frame := appendDeliverRequest(nil, conn.in.seed, 1, 1, payload)
		go func() {
			for _, piece := range [][]byte{frame[:1], frame[1:19], frame[19:21], frame[21 : len(frame)-1], frame[len(frame)-1:]} {
				<-time.After(time.Second)
				conn.nc.Write(piece)
			}
		}()
		f, err := conn.in.next(1 << 20)
		if err != nil || binary.LittleEndian.Uint64(f.Body) != uint64(len(payload)) {
			t.Errorf("%+v, %v", f, err)
		}
		conn.nc.Close()
		conn.in.in.release()
	})
}

func TestPortReportsALostListener(t *testing.T) {
	l := newPeerPipes()
	lost := make(chan error, 1)
	p := startPeerPort(peerPortOptions{listener: l, limits: PeerLimits{}.withDefaults(), now: time.Now, logger: slog.New(slog.DiscardHandler),
		ended: func(err error) { lost <- err }})
	l.Close()
	if err := <-lost; !errors.Is(err, errListenerEnd) {
		t.Error(err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// TestDialGivesUp: a listener that accepts and says nothing, and one that never
// accepts, cost a caller no more than the opening may take.
func TestDialGivesUp(t *testing.T) {
	for _, accept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newPortBench(t, PeerLimits{})
			var far net.Conn
			b.dial = func(ctx context.Context, _ string) (near net.Conn, err error) {
				if accept {
					near, far = net.Pipe()
					return near, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			begun := time.Now()
			if got := <-deliver(b.remote, 1, nil); !errors.Is(got.err, errPortUnreachable) || time.Since(begun) != b.port.limits.Opening {
				t.Errorf("after %v: %v", time.Since(begun), got.err)
			}
			if far != nil {
				far.Close()
			}
			b.close()
		})
	}
}
