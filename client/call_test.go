package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/wire"
)

func TestManyCallersShareOneConnection(t *testing.T) {
	s := newFakeServer(t, answerAll)
	c := dialFake(t, s, Options{Addr: s.listen("tcp", "127.0.0.1:0")})
	s.reads.Store(0)
	ctx := within(t)
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for n := range 100 {
				id := strings.Repeat("x", 1+(g+n)%7)
				got, err := c.Check(ctx, "me", id, "abcd")
				if err != nil || len(got) != 2 || got[0].UserID != id || got[0].Type != FollowType(len(id)%4) || got[1].Type != None {
					t.Errorf("check of %q: %v, %v", id, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	requests, reads := s.requests.Load(), s.reads.Load()
	if requests != 6400 {
		t.Errorf("%d requests, want 6400", requests)
	}
	if requests < 2*reads {
		t.Errorf("%d requests in %d reads: they do not share writes", requests, reads)
	}
}

func TestUnixSocket(t *testing.T) {
	s := newFakeServer(t, answerAll)
	c := dialFake(t, s, Options{Addr: "unix:" + s.listen("unix", t.TempDir()+"/kith.sock")})
	if err := c.Ping(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestTypedAnswers(t *testing.T) {
	s := newFakeServer(t, answerAll)
	c := dialFake(t, s, Options{})
	ctx := within(t)
	if got, err := c.Follow(ctx, "me", "bob", "eve"); err != nil || len(got) != 2 || got[1] != (EdgeResult{"eve", wire.OK, true, false}) {
		t.Errorf("follow: %v, %v", got, err)
	}
	if got, err := c.Info(ctx, "bob"); err != nil || len(got) != 1 || got[0] != (InfoResult{UserID: "bob", Followers: 3}) {
		t.Errorf("info: %v, %v", got, err)
	}
	if got, err := c.Status(ctx); err != nil || got.NodeID != "fake" || !got.Ready {
		t.Errorf("status: %v, %v", got, err)
	}
	before := s.requests.Load()
	_, tooMany := c.Follow(ctx, "me", make([]string, 21)...)
	_, none := c.Check(ctx, "me")
	_, page := c.MutualsPage(ctx, "me", PageOptions{Limit: 501})
	_, large := c.Check(ctx, strings.Repeat("x", wire.DefaultMaxFrameBytes), "bob")
	for _, err := range []error{tooMany, none, page, large} {
		if !errors.Is(err, ErrBadRequest) || SafeToRetry(err) {
			t.Errorf("got %v, want bad_request", err)
		}
	}
	if s.requests.Load() != before {
		t.Error("a request over a limit was sent")
	}
}

func TestFlagsOfWith(t *testing.T) {
	flags := make(chan byte, 1)
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
		flags <- body[0]
		answerAll(c, h, body)
	})
	c := dialFake(t, s, Options{})
	ctx := within(t)
	other := c.With(CallOptions{NoWait: true, Consistency: Consistent})
	if _, err := other.Follow(ctx, "me", "bob"); err != nil || <-flags != wire.FlagNoWait {
		t.Errorf("follow without waiting: %v", err)
	}
	if _, err := other.Check(ctx, "me", "bob"); err != nil || <-flags != wire.ReadConsistent {
		t.Errorf("consistent check: %v", err)
	}
	if _, err := c.Follow(ctx, "me", "bob"); err != nil || <-flags != 0 {
		t.Errorf("plain follow: %v", err)
	}
}

func TestAnswersInAnyOrder(t *testing.T) {
	const callers = 50
	var mu sync.Mutex
	var held []func()
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
		body = append([]byte(nil), body...)
		mu.Lock()
		defer mu.Unlock()
		held = append(held, func() { answerAll(c, h, body) })
		if len(held) == callers {
			for i := range held {
				held[callers-1-i]()
			}
			go c.flush()
		}
	})
	c := dialFake(t, s, Options{})
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			id := strings.Repeat("x", i)
			if got, err := c.Info(ctx, id); err != nil || got[0].Followers != uint32(i) {
				t.Errorf("info of %d bytes: %v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

// slowServer answers the first so many requests only when told to.
func slowServer(t *testing.T, slow int64) (s *fakeServer, arrived chan struct{}, release chan struct{}) {
	arrived, release = make(chan struct{}, 100), make(chan struct{})
	var n atomic.Int64
	s = newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
		if n.Add(1) > slow {
			answerAll(c, h, body)
			return
		}
		body = append([]byte(nil), body...)
		arrived <- struct{}{}
		s.wg.Go(func() {
			<-release
			answerAll(c, h, body)
			c.flush()
		})
	})
	return s, arrived, release
}

func TestLateAnswerIsDropped(t *testing.T) {
	s, arrived, release := slowServer(t, 1)
	c := dialFake(t, s, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := c.Follow(ctx, "me", "late")
		failed <- err
	}()
	<-arrived
	cancel()
	err := <-failed
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrTimeout) || !SafeToRetry(err) {
		t.Fatalf("cancelled call: %v", err)
	}
	close(release)
	for i := range 100 {
		id := strings.Repeat("y", i)
		if got, err := c.Info(within(t), id); err != nil || got[0].Followers != uint32(i) {
			t.Fatalf("after a late answer: %v, %v", got, err)
		}
	}
	if n := s.dials.Load(); n != 1 {
		t.Errorf("%d connections: giving up a call must not end its connection", n)
	}
}

func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, release := slowServer(t, 1)
		c := dialFake(t, s, Options{CallTimeout: 3 * time.Second})
		start := time.Now()
		_, err := c.Check(context.Background(), "me", "bob")
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		close(release)
	})
}

func TestServerThatDoesNotReadDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t, answerAll)
		block := make(chan struct{})
		s.handle = func(*fakeConn, wire.Header, []byte) { <-block }
		c := dialFake(t, s, Options{KeepAlive: time.Hour})
		var wg sync.WaitGroup
		start := time.Now()
		for range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if _, err := c.Check(ctx, "me", "bob"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > time.Second+2*leaderWriteLimit {
			t.Errorf("a call with a deadline of 1s took %v", took)
		}
		close(block)
	})
}

func TestConnectionLostWithCallsUnderWay(t *testing.T) {
	arrived := make(chan struct{}, 2)
	var n atomic.Int64
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
		if n.Add(1) > 2 {
			answerAll(c, h, body)
			return
		}
		arrived <- struct{}{}
	})
	c := dialFake(t, s, Options{})
	ctx := within(t)
	read, write := make(chan error), make(chan error)
	go func() {
		_, err := c.Check(ctx, "me", "bob")
		read <- err
	}()
	go func() {
		_, err := c.Follow(ctx, "me", "bob")
		write <- err
	}()
	<-arrived
	<-arrived
	s.kill()
	if err := <-read; err != nil {
		t.Errorf("the read was not repeated: %v", err)
	}
	err := <-write
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, ErrConnectionLost) || !SafeToRetry(err) {
		t.Errorf("the write: %v", err)
	}
	if got := n.Load(); got != 3 {
		t.Errorf("%d requests; the write must not be repeated", got)
	}
}

func TestUnavailableIsRepeated(t *testing.T) {
	for _, code := range []wire.Code{wire.Unavailable, wire.NotLeader} {
		var n atomic.Int64
		s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
			if n.Add(1) <= 3 {
				c.reply(h.ID, code, &wire.ErrorReply{Message: "not now"})
				return
			}
			answerAll(c, h, body)
		})
		c := dialFake(t, s, Options{})
		if _, err := c.Follow(within(t), "me", "bob"); err != nil || n.Load() != 4 {
			t.Errorf("%v: %v after %d requests", code, err, n.Load())
		}
	}
}

func TestServerTimeoutIsRepeatedForReadsOnly(t *testing.T) {
	var n atomic.Int64
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
		if n.Add(1)%2 == 1 {
			c.reply(h.ID, wire.Timeout, &wire.ErrorReply{})
			return
		}
		answerAll(c, h, body)
	})
	c := dialFake(t, s, Options{})
	if _, err := c.Check(within(t), "me", "bob"); err != nil || n.Load() != 2 {
		t.Errorf("read: %v after %d requests", err, n.Load())
	}
	if _, err := c.Follow(within(t), "me", "bob"); !errors.Is(err, ErrTimeout) || n.Load() != 3 {
		t.Errorf("write: %v after %d requests", err, n.Load())
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	all := map[wire.Code]error{
		wire.BadRequest: ErrBadRequest, wire.BadCursor: ErrBadCursor, wire.Denied: ErrDenied, wire.Unavailable: ErrUnavailable,
		wire.Timeout: ErrTimeout, wire.FollowingFull: ErrFollowingFull, wire.NotLeader: ErrNotLeader, wire.SelfFollow: ErrSelfFollow,
	}
	var code wire.Code
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, _ []byte) {
		c.reply(h.ID, code, &wire.ErrorReply{Message: "because", Leader: "there:7400"})
	})
	c := dialFake(t, s, Options{MaxAttempts: 1})
	for want, sentinel := range all {
		code = want
		_, err := c.Check(within(t), "me", "bob")
		var e *Error
		if !errors.As(err, &e) || e.Code != want || e.Message != "because" || e.Leader != "there:7400" || !errors.Is(err, sentinel) {
			t.Errorf("%v: got %v", want, err)
		}
		if SafeToRetry(err) != want.SafeToRetry() || SafeToRetry(sentinel) != want.SafeToRetry() {
			t.Errorf("%v: SafeToRetry is %v", want, SafeToRetry(err))
		}
		for other, sentinel := range all {
			if other != want && errors.Is(err, sentinel) {
				t.Errorf("%v matches %v", err, sentinel)
			}
		}
	}
	if SafeToRetry(nil) || SafeToRetry(errors.New("other")) {
		t.Error("SafeToRetry of what is not ours")
	}
}

func TestGarbageEndsTheConnectionOnly(t *testing.T) {
	frame := func(typ uint8, id uint32, body ...byte) []byte {
		return wire.EndFrame(append(wire.BeginFrame(nil, typ, id), body...), 0)
	}
	huge := make([]byte, 8)
	binary.LittleEndian.PutUint64(huge, wire.MaxBodyBytes)
	garbage := map[string]func(h wire.Header) []byte{
		"unknown request":   func(h wire.Header) []byte { return frame(0, h.ID+1) },
		"other generation":  func(h wire.Header) []byte { return frame(0, h.ID+1<<slotBits) },
		"huge frame":        func(h wire.Header) []byte { return huge },
		"unasked stream":    func(h wire.Header) []byte { return frame(wire.StatusMore, h.ID) },
		"unknown type":      func(h wire.Header) []byte { return frame(0x80, h.ID) },
		"bad body":          func(h wire.Header) []byte { return frame(0, h.ID, 0xff, 0xff, 0xff) },
		"too few results":   func(h wire.Header) []byte { return frame(0, h.ID, 0, 0) },
		"connection error":  func(h wire.Header) []byte { return frame(uint8(wire.BadRequest), wire.ConnectionID, 2, 'n', 'o', 0) },
		"noise":             func(h wire.Header) []byte { return []byte(strings.Repeat("\xa5\x5a", 100)) },
		"error without end": func(h wire.Header) []byte { return frame(uint8(wire.Unavailable), h.ID, 200) },
	}
	for name, make := range garbage {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
				if n.Add(1) == 1 {
					c.send(make(h))
					return
				}
				answerAll(c, h, body)
			})
			c := dialFake(t, s, Options{MaxAttempts: 1})
			ctx := within(t)
			_, err := c.Follow(ctx, "me", "bob")
			if err == nil || !SafeToRetry(err) {
				t.Errorf("got %v", err)
			}
			if name != "connection error" && !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v, want a breach of the protocol", err)
			}
			if got, err := c.Follow(ctx, "me", "bob"); err != nil || len(got) != 1 {
				t.Errorf("afterwards: %v, %v", got, err)
			}
		})
	}
}

func TestCloseFailsWaitingCalls(t *testing.T) {
	s := newFakeServer(t, nil)
	arrived := make(chan struct{}, 10)
	s.handle = func(*fakeConn, wire.Header, []byte) { arrived <- struct{}{} }
	c := dialFake(t, s, Options{})
	failed := make(chan error)
	for i := range 10 {
		go func() {
			var err error
			if i%2 == 0 {
				_, err = c.Follow(context.Background(), "me", "bob")
			} else {
				_, err = c.Check(context.Background(), "me", "bob")
			}
			failed <- err
		}()
	}
	for range 10 {
		<-arrived
	}
	c.Close()
	for range 10 {
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if err := c.Ping(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("ping after close: %v", err)
	}
	c.Close()
}

func TestServerDownAndUpAgain(t *testing.T) {
	s := newFakeServer(t, answerAll)
	c := dialFake(t, s, Options{Connections: 2, MaxBackoff: 2 * time.Millisecond})
	s.down.Store(true)
	s.kill()
	for range 2 { // the first makes sure that the client has noticed
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if err := c.Ping(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a ping while it is down: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Follow(ctx, "me", "bob")
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is down: %v", err)
	}
	waited := make(chan error)
	go func() {
		_, err := c.Follow(within(t), "me", "bob")
		waited <- err
	}()
	s.down.Store(false)
	if err := <-waited; err != nil {
		t.Errorf("a call that waits for the server: %v", err)
	}
}

func TestSilentConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t, nil)
		var n atomic.Int64
		s.handle = func(c *fakeConn, h wire.Header, body []byte) {
			if c.server.dials.Load() > 1 {
				answerAll(c, h, body)
			}
			n.Add(1)
		}
		c := dialFake(t, s, Options{KeepAlive: time.Second, CallTimeout: time.Minute})
		start := time.Now()
		if _, err := c.Check(context.Background(), "me", "bob"); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// TestSilentConnectionWithoutASlotIsGivenUp leaves no slot for the ping.
func TestSilentConnectionWithoutASlotIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
			if c.server.dials.Load() > 1 {
				answerAll(c, h, body)
			}
		})
		s.hello.MaxInFlight = 2
		c := dialFake(t, s, Options{KeepAlive: time.Second, CallTimeout: time.Hour})
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := c.Check(context.Background(), "me", "bob"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

func TestEachConnectionIsInThePoolOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t, answerAll)
		c := dialFake(t, s, Options{Connections: 3})
		for range 2 {
			synctest.Wait()
			<-time.After(time.Minute) // links that were lost are made again
			places := map[*conn]int{}
			for _, cn := range *c.core.pool.live.Load() {
				if places[cn]++; places[cn] > 1 {
					t.Error("a connection has two places")
				}
			}
			if len(places) != 3 {
				t.Errorf("%d connections, want 3", len(places))
			}
			s.kill()
		}
	})
}

func TestMoreCallsThanSlots(t *testing.T) {
	s := newFakeServer(t, answerAll)
	s.hello.MaxInFlight = 3
	var under, most atomic.Int64
	s.handle = func(c *fakeConn, h wire.Header, body []byte) {
		most.Store(max(most.Load(), under.Add(1)))
		body = append([]byte(nil), body...)
		s.wg.Go(func() {
			under.Add(-1)
			answerAll(c, h, body)
			c.flush()
		})
	}
	c := dialFake(t, s, Options{})
	ctx := within(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if err := c.Ping(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d requests under way, the server takes 3", most.Load())
	}
}

func TestConnectionThatAnswersNothingIsReplaced(t *testing.T) {
	s := newFakeServer(t, answerAll)
	s.hello.MaxInFlight = 2
	s.handle = func(c *fakeConn, h wire.Header, body []byte) {
		if s.dials.Load() > 1 {
			answerAll(c, h, body)
		}
	}
	c := dialFake(t, s, Options{})
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if err := c.Ping(ctx); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	if err := c.Ping(within(t)); err != nil {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	refused := newFakeServer(t, answerAll)
	refused.refuse = wire.Denied
	stranger := newFakeServer(t, answerAll)
	stranger.onOpening = func(nc net.Conn) { fmt.Fprint(nc, "HTTP/1.1 400 Bad Request\r\n\r\n") }
	short := newFakeServer(t, answerAll)
	short.onOpening = func(nc net.Conn) { fmt.Fprint(nc, "SSH-2.0") }
	down := newFakeServer(t, answerAll)
	down.down.Store(true)
	silent := newFakeServer(t, answerAll)
	silent.onOpening = func(nc net.Conn) { _, _ = nc.Read(make([]byte, 1000)); _, _ = nc.Read(make([]byte, 1)) }
	for name, test := range map[string]struct {
		s    *fakeServer
		want error
	}{
		"denied": {refused, ErrDenied}, "stranger": {stranger, ErrProtocol}, "short stranger": {short, ErrProtocol},
		"down": {down, errDown}, "silent": {silent, ErrUnavailable},
	} {
		dial := test.s.dialPipe
		if name == "stranger" || name == "short stranger" {
			addr := test.s.listen("tcp", "127.0.0.1:0")
			dial = func(ctx context.Context, _ string) (net.Conn, error) { return dialNet(ctx, addr) }
		}
		c, err := Dial(context.Background(), Options{Dialer: dial, DialTimeout: 100 * time.Millisecond})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c != nil {
			c.Close()
		}
	}
	if _, err := Dial(context.Background(), Options{Connections: -1}); !errors.Is(err, ErrOptions) {
		t.Errorf("wrong options: %v", err)
	}
}
