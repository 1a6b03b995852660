package client

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/kithgraph/kith/wire"
)

// Item is one user in a list.
type Item struct {
	UserID string
	// FollowTime is in seconds since 1970 UTC.
	FollowTime uint32
}

// Time returns the follow time.
func (i Item) Time() time.Time { return time.Unix(int64(i.FollowTime), 0).UTC() }

// PageOptions say which part of a list is asked for.
type PageOptions struct {
	// Cursor is the NextCursor of the page before. Default: the first page.
	Cursor string
	// Limit is the number of items, 1 to 500. Default 100.
	Limit int
}

// Page is a part of a list, newest first.
type Page struct {
	// Items are as many as asked for unless the list ends. Their ids share one piece
	// of memory: whoever keeps few of them for long should strings.Clone those.
	Items []Item
	// NextCursor leads to the next page; empty at the list's end.
	NextCursor string
	// Total is the length of the whole list.
	Total int
}

// FollowersPage returns a part of the users that follow user.
func (c *Client) FollowersPage(ctx context.Context, user string, o PageOptions) (Page, error) {
	return c.page(ctx, wire.TypeFollowers, user, o)
}

// FollowingPage returns a part of the users that user follows.
func (c *Client) FollowingPage(ctx context.Context, user string, o PageOptions) (Page, error) {
	return c.page(ctx, wire.TypeFollowing, user, o)
}

// MutualsPage returns a part of the users that user follows and is followed by,
// in the order in which user followed them.
func (c *Client) MutualsPage(ctx context.Context, user string, o PageOptions) (Page, error) {
	return c.page(ctx, wire.TypeMutuals, user, o)
}

// Followers walks all users that follow user, newest first. Whatever is added or
// removed meanwhile, those that were there throughout come exactly once. An error
// is the last thing yielded.
func (c *Client) Followers(ctx context.Context, user string) iter.Seq2[Item, error] {
	return c.walk(ctx, wire.TypeFollowers, user)
}

// Following walks all users that user follows; see Followers.
func (c *Client) Following(ctx context.Context, user string) iter.Seq2[Item, error] {
	return c.walk(ctx, wire.TypeFollowing, user)
}

// Mutuals walks all users that user follows and is followed by; see Followers.
func (c *Client) Mutuals(ctx context.Context, user string) iter.Seq2[Item, error] {
	return c.walk(ctx, wire.TypeMutuals, user)
}

func (c *Client) walk(ctx context.Context, typ wire.Type, user string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		o := PageOptions{Limit: wire.MaxPage}
		for {
			page, err := c.page(ctx, typ, user, o)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			o.Cursor = page.NextCursor
		}
	}
}

func (c *Client) page(ctx context.Context, typ wire.Type, user string, o PageOptions) (Page, error) {
	if o.Limit < 0 || o.Limit > wire.MaxPage {
		return Page{}, badRequest("a page of %d items; at most %d", o.Limit, wire.MaxPage)
	}
	cl := c.core.newCall(typ, false)
	defer c.core.release(cl)
	request := wire.ListRequest{Flags: c.call.readFlags(), User: cl.bytes(user), Cursor: cl.bytes(o.Cursor), Limit: uint16(o.Limit)}
	cl.body = request.Append(cl.body[:0])
	if err := c.core.exchange(ctx, cl, &cl.list); err != nil {
		return Page{}, err
	}
	return makePage(&cl.list), nil
}

// makePage copies a reply: one allocation for the items, one for all strings.
func makePage(reply *wire.ListReply) Page {
	size := len(reply.NextCursor)
	for i := range reply.Items {
		size += len(reply.Items[i].UserID)
	}
	var text textArena
	text.Grow(size)
	page := Page{Items: make([]Item, len(reply.Items)), Total: int(reply.Total)}
	for i := range reply.Items {
		page.Items[i] = Item{text.add(reply.Items[i].UserID), reply.Items[i].FollowTime}
	}
	page.NextCursor = text.add(reply.NextCursor)
	return page
}

// textArena turns many byte strings into strings that share one allocation, made
// by Grow for all of them together.
type textArena struct{ strings.Builder }

func (a *textArena) add(b []byte) string {
	start := a.Len()
	a.Write(b)
	return a.String()[start:]
}
