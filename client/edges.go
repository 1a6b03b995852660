package client

import (
	"context"

	"github.com/kithgraph/kith/wire"
)

// EdgeResult is what became of one user of a follow or an unfollow.
type EdgeResult struct {
	UserID string
	// Code is wire.OK also when there was nothing to change.
	Code wire.Code
	// Changed is false when the user was followed already, or was not followed.
	Changed bool
	// Pending: the change is durable, but UserID's own lists may not show it yet.
	// Never set when the client was told not to wait.
	Pending bool
}

// Err returns nil for wire.OK, otherwise the sentinel of the code.
func (r EdgeResult) Err() error { return codeErr(r.Code) }

// Follow makes me follow 1 to 20 users. The results are in the order of ids; one
// that is refused does not fail the others, nor the call. Following somebody
// already followed succeeds and changes nothing.
func (c *Client) Follow(ctx context.Context, me string, ids ...string) ([]EdgeResult, error) {
	return c.edge(ctx, wire.TypeFollow, me, ids)
}

// Unfollow makes me no longer follow 1 to 20 users; see Follow.
func (c *Client) Unfollow(ctx context.Context, me string, ids ...string) ([]EdgeResult, error) {
	return c.edge(ctx, wire.TypeUnfollow, me, ids)
}

func (c *Client) edge(ctx context.Context, typ wire.Type, me string, ids []string) ([]EdgeResult, error) {
	if err := checkCount(len(ids), wire.MaxFollowIDs); err != nil {
		return nil, err
	}
	cl := c.core.newCall(typ, true)
	defer c.core.release(cl)
	request := wire.EdgeRequest{Flags: c.call.writeFlags(), Me: cl.bytes(me), UserIDs: cl.idList(ids)}
	cl.body = request.Append(cl.body[:0])
	if err := exchangeEach(ctx, c.core, cl, &cl.edge, &cl.edge.Results, len(ids)); err != nil {
		return nil, err
	}
	results := make([]EdgeResult, len(ids))
	for i, r := range cl.edge.Results {
		ok := r.Code() == wire.OK
		results[i] = EdgeResult{ids[i], r.Code(), ok && !r.Unchanged(), ok && cl.edge.Pending}
	}
	return results, nil
}

// checkCount refuses a list that is empty or over its limit before it is sent.
func checkCount(n, limit int) error {
	switch {
	case n == 0:
		return badRequest("at least one user id is needed")
	case n > limit:
		return badRequest("%d user ids; at most %d", n, limit)
	}
	return nil
}
