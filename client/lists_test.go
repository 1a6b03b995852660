package client

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/kithgraph/kith/wire"
)

// pages serves a list of so many users, whose cursors are offsets.
func pages(length int) func(*fakeConn, wire.Header, []byte) {
	return func(c *fakeConn, h wire.Header, body []byte) {
		var request wire.ListRequest
		must(c.server.t, request.Decode(body))
		from := 0
		if len(request.Cursor) > 0 {
			var err error
			if from, err = strconv.Atoi(string(request.Cursor)); err != nil {
				c.reply(h.ID, wire.BadCursor, &wire.ErrorReply{Message: "not mine"})
				return
			}
		}
		limit := int(request.Limit)
		if limit == 0 {
			limit = wire.DefaultPage
		}
		reply := wire.ListReply{Total: uint32(length)}
		for i := from; i < min(from+limit, length); i++ {
			reply.Items = append(reply.Items, wire.ListItem{UserID: fmt.Appendf(nil, "user-%d", i), FollowTime: uint32(i)})
		}
		if from+limit < length {
			reply.NextCursor = strconv.AppendInt(nil, int64(from+limit), 10)
		}
		c.reply(h.ID, wire.OK, &reply)
	}
}

func TestWalkOfAList(t *testing.T) {
	for _, length := range []int{0, 1, 499, 500, 501, 1234} {
		s := newFakeServer(t, pages(length))
		c := dialFake(t, s, Options{})
		n := 0
		for item, err := range c.Followers(within(t), "me") {
			if want := (Item{fmt.Sprintf("user-%d", n), uint32(n)}); err != nil || item != want {
				t.Fatalf("item %d of %d: %v, %v", n, length, item, err)
			}
			n++
		}
		if n != length {
			t.Errorf("%d items of %d", n, length)
		}
		if want := int64(max(1, (length+499)/500)); s.requests.Load() != want {
			t.Errorf("%d requests for %d items, want %d", s.requests.Load(), length, want)
		}
	}
}

func TestWalkStopsEarly(t *testing.T) {
	s := newFakeServer(t, pages(5000))
	c := dialFake(t, s, Options{})
	n := 0
	for range c.Mutuals(within(t), "me") {
		if n++; n == 700 {
			break
		}
	}
	if s.requests.Load() != 2 {
		t.Errorf("%d requests for 700 items", s.requests.Load())
	}
}

func TestPage(t *testing.T) {
	s := newFakeServer(t, pages(150))
	c := dialFake(t, s, Options{})
	page, err := c.FollowingPage(within(t), "me", PageOptions{})
	if err != nil || len(page.Items) != 100 || page.Total != 150 || page.NextCursor != "100" {
		t.Fatalf("first page: %d items, %+v, %v", len(page.Items), page.NextCursor, err)
	}
	page, err = c.FollowingPage(within(t), "me", PageOptions{Cursor: page.NextCursor, Limit: 50})
	if err != nil || len(page.Items) != 50 || page.NextCursor != "" || page.Items[49].UserID != "user-149" {
		t.Fatalf("second page: %d items, %+v, %v", len(page.Items), page.NextCursor, err)
	}
	if _, err = c.FollowingPage(within(t), "me", PageOptions{Cursor: "forged"}); !errors.Is(err, ErrBadCursor) {
		t.Errorf("forged cursor: %v", err)
	}
}

func TestWalkYieldsTheErrorLast(t *testing.T) {
	list := pages(900)
	s := newFakeServer(t, nil)
	s.handle = func(c *fakeConn, h wire.Header, body []byte) {
		if s.requests.Load() > 1 {
			c.reply(h.ID, wire.Denied, &wire.ErrorReply{})
			return
		}
		list(c, h, body)
	}
	c := dialFake(t, s, Options{})
	items, failures := 0, 0
	for _, err := range c.Following(within(t), "me") {
		if err == nil {
			items++
		} else if failures++; !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
	}
	if items != 500 || failures != 1 {
		t.Errorf("%d items and %d errors", items, failures)
	}
}
