package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kithgraph/kith/wire"
)

// exporter serves a graph of so many follows, a few rows a frame, and watches the
// credits. Positions count rows.
type exporter struct {
	mu        sync.Mutex
	rows      int
	perFrame  int
	streams   map[uint32]*exportState
	cancelled int
	most      int
	// cut closes the connection before this row of each stream, 0 never.
	cut int
}

type exportState struct {
	next, start, credits int
}

func (e *exporter) handle(c *fakeConn, h wire.Header, body []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch wire.Type(h.Type) {
	case wire.TypeExport:
		var request wire.ExportRequest
		must(c.server.t, request.Decode(body))
		start := int(request.Start.User)
		e.streams[h.ID] = &exportState{next: start, start: start, credits: int(request.Credits)}
	case wire.TypeCredit:
		var credit wire.Credit
		must(c.server.t, credit.Decode(body))
		if s := e.streams[h.ID]; s != nil {
			s.credits += int(credit.Credits)
			e.most = max(e.most, s.credits)
		}
	case wire.TypeCancel:
		e.cancelled++
		if e.streams[h.ID] != nil {
			delete(e.streams, h.ID)
			c.reply(h.ID, wire.OK, &wire.ExportReply{Next: wire.ExportEnd()})
		}
	default:
		answerAll(c, h, body)
		return
	}
	if s := e.streams[h.ID]; s != nil {
		e.send(c, h.ID, s)
	}
}

func (e *exporter) send(c *fakeConn, id uint32, s *exportState) {
	for ; s.credits > 0; s.credits-- {
		if e.cut > 0 && s.next-s.start >= e.cut {
			delete(e.streams, id)
			c.flush()
			c.nc.Close()
			return
		}
		reply := wire.ExportReply{}
		for n := 0; n < e.perFrame && s.next < e.rows; n++ {
			reply.Rows = append(reply.Rows, exportRow(s.next))
			s.next++
		}
		if s.next == e.rows {
			reply.Next = wire.ExportEnd()
			c.reply(id, wire.OK, &reply)
			delete(e.streams, id)
			return
		}
		reply.Next = wire.ExportPosition{User: uint32(s.next)}
		c.more(id, &reply)
	}
}

func exportRow(i int) wire.ExportRow {
	return wire.ExportRow{Follower: fmt.Appendf(nil, "user-%d", i/7), Followee: fmt.Appendf(nil, "friend-%d", i), Time: uint32(i)}
}

func wantEdge(i int) Edge {
	return Edge{fmt.Sprintf("user-%d", i/7), fmt.Sprintf("friend-%d", i), uint32(i)}
}

func TestExport(t *testing.T) {
	for name, test := range map[string]struct{ rows, cut, window int }{
		"empty": {0, 0, 0}, "whole": {1000, 0, 4}, "window of one": {200, 0, 1}, "cut off often": {1000, 60, 3},
	} {
		t.Run(name, func(t *testing.T) {
			e := &exporter{rows: test.rows, cut: test.cut, perFrame: 10, streams: map[uint32]*exportState{}}
			s := newFakeServer(t, e.handle)
			c := dialFake(t, s, Options{})
			n, frames := 0, 0
			o := ExportOptions{Window: test.window, Progress: func(wire.ExportPosition) { frames++ }}
			for edge, err := range c.Export(within(t), o) {
				if err != nil || edge != wantEdge(n) {
					t.Fatalf("edge %d: %v, %v", n, edge, err)
				}
				n++
			}
			if n != test.rows || frames != max(1, test.rows/10) {
				t.Errorf("%d edges in %d frames", n, frames)
			}
			if e.most > max(test.window, 1) {
				t.Errorf("%d credits with a window of %d", e.most, test.window)
			}
			if test.cut > 0 && s.dials.Load() < 5 {
				t.Errorf("%d connections", s.dials.Load())
			}
		})
	}
}

func TestExportFromAPosition(t *testing.T) {
	e := &exporter{rows: 100, perFrame: 10, streams: map[uint32]*exportState{}}
	c := dialFake(t, newFakeServer(t, e.handle), Options{})
	n := 40
	for edge, err := range c.Export(within(t), ExportOptions{Start: wire.ExportPosition{User: 40}}) {
		if err != nil || edge != wantEdge(n) {
			t.Fatalf("edge %d: %v, %v", n, edge, err)
		}
		n++
	}
	if n != 100 {
		t.Errorf("ended at %d", n)
	}
}

func TestExportLeftEarlyIsCancelled(t *testing.T) {
	e := &exporter{rows: 1 << 30, perFrame: 10, streams: map[uint32]*exportState{}}
	c := dialFake(t, newFakeServer(t, e.handle), Options{})
	ctx := within(t)
	for range 5 {
		n := 0
		for range c.Export(ctx, ExportOptions{}) {
			if n++; n == 123 {
				break
			}
		}
	}
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancelled != 5 || len(e.streams) != 0 {
		t.Errorf("%d cancelled, %d still run", e.cancelled, len(e.streams))
	}
}

func TestExportWithoutCreditEndsTheConnection(t *testing.T) {
	for _, whole := range []bool{false, true} {
		s := newFakeServer(t, func(c *fakeConn, h wire.Header, _ []byte) {
			for i := range 1000 {
				c.more(h.ID, &wire.ExportReply{Next: wire.ExportPosition{User: uint32(i)}})
			}
			if whole {
				c.reply(h.ID, wire.OK, &wire.ExportReply{Next: wire.ExportEnd()})
			}
		})
		c := dialFake(t, s, Options{MaxAttempts: 1})
		var last error
		for _, err := range c.Export(within(t), ExportOptions{Window: 2}) {
			last = err
		}
		if !errors.Is(last, ErrProtocol) {
			t.Errorf("whole stream %v: got %v", whole, last)
		}
	}
}

// TestAnswersBehindABreach has the answer to a check arrive in one read with frames
// of an export that has no credit for them.
func TestAnswersBehindABreach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var export uint32
		s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
			switch wire.Type(h.Type) {
			case wire.TypeExport:
				export = h.ID
			case wire.TypeCheck:
				for range 10 {
					c.more(export, &wire.ExportReply{})
				}
				answerAll(c, h, body)
			}
		})
		c := dialFake(t, s, Options{MaxAttempts: 1})
		exported := make(chan error)
		go func() {
			var last error
			for _, err := range c.Export(context.Background(), ExportOptions{Window: 1}) {
				last = err
			}
			exported <- last
		}()
		synctest.Wait()
		if _, err := c.Check(within(t), "me", "bob"); err != nil {
			t.Errorf("the check: %v", err)
		}
		if err := <-exported; !errors.Is(err, ErrProtocol) {
			t.Errorf("the export: %v", err)
		}
	})
}

// TestExportIsPatientWhileItGetsOn has frames come slower than CallTimeout all
// together, but not each.
func TestExportIsPatientWhileItGetsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{rows: 100, perFrame: 10, streams: map[uint32]*exportState{}}
		s := newFakeServer(t, nil)
		s.handle = func(c *fakeConn, h wire.Header, body []byte) {
			<-time.After(600 * time.Millisecond)
			e.handle(c, h, body)
		}
		c := dialFake(t, s, Options{CallTimeout: time.Second})
		n := 0
		for _, err := range c.Export(context.Background(), ExportOptions{Window: 1}) {
			if err != nil {
				t.Fatalf("after %d edges: %v", n, err)
			}
			n++
		}
		if n != 100 || s.dials.Load() != 1 {
			t.Errorf("%d edges over %d connections", n, s.dials.Load())
		}
	})
}

func TestExportThatStallsGoesOnOrEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var streams atomic.Int64
		s := newFakeServer(t, func(c *fakeConn, h wire.Header, body []byte) {
			switch wire.Type(h.Type) {
			case wire.TypePing:
				answerAll(c, h, body)
			case wire.TypeExport:
				streams.Add(1)
			}
		})
		c := dialFake(t, s, Options{CallTimeout: time.Second})
		for name, test := range map[string]struct {
			deadline, took time.Duration
			streams        int64
		}{
			"no deadline": {0, time.Second, 1}, "short": {500 * time.Millisecond, 500 * time.Millisecond, 1},
			"long": {3500 * time.Millisecond, 3500 * time.Millisecond, 4},
		} {
			ctx, cancel := context.WithCancel(context.Background())
			if test.deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
			}
			start := time.Now()
			streams.Store(0)
			for _, err := range c.Export(ctx, ExportOptions{}) {
				if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
			}
			cancel()
			if took := time.Since(start); took != test.took || streams.Load() != test.streams {
				t.Errorf("%s: gave up after %v and %d streams", name, took, streams.Load())
			}
		}
	})
}

// TestImport has a server that refuses batches and rows at random.
func TestImport(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	stored := map[string]uint32{}
	refusals := 0
	s := newFakeServer(t, nil)
	s.handle = func(c *fakeConn, h wire.Header, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		var request wire.ImportRequest
		must(t, request.Decode(body))
		var reply wire.ImportReply
		whole := rng.IntN(8)
		for _, row := range request.Rows {
			if whole > 1 && rng.IntN(100) == 0 {
				reply.Results = append(reply.Results, wire.MakeEdgeResult(wire.Unavailable, false))
				continue
			}
			if string(row.Follower) == string(row.Followee) {
				reply.Results = append(reply.Results, wire.MakeEdgeResult(wire.SelfFollow, false))
				continue
			}
			key := string(row.Follower) + " " + string(row.Followee)
			_, already := stored[key]
			if !already {
				stored[key] = row.Time
			}
			reply.Results = append(reply.Results, wire.MakeEdgeResult(wire.OK, already))
		}
		switch whole {
		case 0:
			refusals++
			c.reply(h.ID, wire.Timeout, &wire.ErrorReply{})
		case 1:
			refusals++
			c.nc.Close() // carried out, but the answer is lost
		default:
			c.reply(h.ID, wire.OK, &reply)
		}
	}
	c := dialFake(t, s, Options{MaxBackoff: 2 * time.Millisecond})
	const rows = 20_000
	next := int64(0)
	im := c.Import(within(t), ImportOptions{BatchRows: 100, Window: 5, OnResult: func(r ImportResult) {
		want := wire.OK
		if r.Number%1000 == 0 {
			want = wire.SelfFollow
		}
		if r.Number != next || r.Row.Time != uint32(r.Number)+1 || r.Code != want {
			t.Errorf("result %d: %+v", next, r)
		}
		next++
	}})
	for i := range rows {
		row := ImportRow{fmt.Sprint("a", i), fmt.Sprint("b", i), uint32(i) + 1}
		if i%1000 == 0 {
			row.Followee = row.Follower
		}
		if err := im.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := im.Flush(); err != nil || next != rows {
		t.Fatalf("after Flush: %d results, %v", next, err)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	if len(stored) != rows-rows/1000 || refusals == 0 {
		t.Errorf("%d rows stored, %d refusals", len(stored), refusals)
	}
	if err := im.Add(ImportRow{}); !errors.Is(err, ErrImportEnded) {
		t.Errorf("Add after Close: %v", err)
	}
}

func TestImportWindow(t *testing.T) {
	var mu sync.Mutex
	arrived, most, under := make(chan func(), 100), 0, 0
	s := newFakeServer(t, nil)
	s.handle = func(c *fakeConn, h wire.Header, body []byte) {
		mu.Lock()
		under++
		most = max(most, under)
		mu.Unlock()
		body = append([]byte(nil), body...)
		arrived <- func() {
			mu.Lock()
			under--
			mu.Unlock()
			answerAll(c, h, body)
			c.flush()
		}
	}
	c := dialFake(t, s, Options{})
	im := c.Import(within(t), ImportOptions{BatchRows: 10, Window: 3})
	finished := make(chan error)
	go func() {
		for i := range 205 {
			if err := im.Add(ImportRow{Follower: "a", Followee: fmt.Sprint(i)}); err != nil {
				finished <- err
				return
			}
		}
		finished <- im.Close()
	}()
	for range 21 {
		(<-arrived)()
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if most > 3 {
		t.Errorf("%d batches under way, window 3", most)
	}
}

func TestImportGivesUp(t *testing.T) {
	code := wire.Unavailable
	s := newFakeServer(t, func(c *fakeConn, h wire.Header, _ []byte) { c.reply(h.ID, code, &wire.ErrorReply{Message: "no"}) })
	c := dialFake(t, s, Options{CallTimeout: 5 * time.Millisecond})
	im := c.Import(within(t), ImportOptions{Patience: 30 * time.Millisecond})
	must(t, im.Add(ImportRow{Follower: "a", Followee: "b"}))
	if err := im.Close(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "rows 0 to 0") {
		t.Errorf("unavailable: %v", err)
	}
	code = wire.Denied
	im = c.Import(within(t), ImportOptions{BatchRows: 1})
	var err error
	for err == nil {
		err = im.Add(ImportRow{Follower: "a", Followee: "b"})
	}
	if again := im.Add(ImportRow{}); !errors.Is(err, ErrDenied) || again != err || im.Close() != err {
		t.Errorf("denied: %v, then %v", err, again)
	}
	ctx, cancel := context.WithCancel(context.Background())
	im = c.Import(ctx, ImportOptions{})
	must(t, im.Add(ImportRow{Follower: "a", Followee: "b"}))
	cancel()
	if err := im.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	im = c.Import(within(t), ImportOptions{BatchRows: 1001})
	if err := im.Add(ImportRow{}); !errors.Is(err, ErrOptions) {
		t.Errorf("wrong options: %v", err)
	}
	im.Close()
}
