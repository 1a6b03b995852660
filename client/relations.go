package client

import (
	"context"
	"strconv"

	"github.com/kithgraph/kith/wire"
)

// FollowType is the relationship of another user to me: a set of two bits.
type FollowType uint8

// The follow types.
const (
	// None: neither follows the other.
	None = FollowType(wire.FollowTypeNone)
	// Follower: the other user follows me.
	Follower = FollowType(wire.FollowTypeFollower)
	// Following: I follow the other user.
	Following = FollowType(wire.FollowTypeFollowing)
	// Mutual: both.
	Mutual = FollowType(wire.FollowTypeMutual)
)

// String returns "none", "follower", "following" or "mutual".
func (t FollowType) String() string {
	switch t {
	case None:
		return "none"
	case Follower:
		return "follower"
	case Following:
		return "following"
	case Mutual:
		return "mutual"
	}
	return "type_" + strconv.Itoa(int(t))
}

// CheckResult is the relationship of one user to me.
type CheckResult struct {
	UserID string
	// Code is wire.OK, or says why Type is not known.
	Code wire.Code
	Type FollowType
}

// Err returns nil for wire.OK, otherwise the sentinel of the code.
func (r CheckResult) Err() error { return codeErr(r.Code) }

// Check tells the relationship of 1 to 100 users to me, in the order of ids.
// Users that do not exist, and me, are None.
func (c *Client) Check(ctx context.Context, me string, ids ...string) ([]CheckResult, error) {
	if err := checkCount(len(ids), wire.MaxIDs); err != nil {
		return nil, err
	}
	cl := c.core.newCall(wire.TypeCheck, false)
	defer c.core.release(cl)
	request := wire.CheckRequest{Flags: c.call.readFlags(), Me: cl.bytes(me), UserIDs: cl.idList(ids)}
	cl.body = request.Append(cl.body[:0])
	if err := exchangeEach(ctx, c.core, cl, &cl.check, &cl.check.Results, len(ids)); err != nil {
		return nil, err
	}
	results := make([]CheckResult, len(ids))
	for i, r := range cl.check.Results {
		results[i] = CheckResult{ids[i], r.Code(), FollowType(r.FollowType())}
	}
	return results, nil
}

// InfoResult is how many users one user is connected with.
type InfoResult struct {
	UserID string
	// Code is wire.OK, or says why the counts are not known.
	Code                         wire.Code
	Followers, Following, Mutual uint32
}

// Err returns nil for wire.OK, otherwise the sentinel of the code.
func (r InfoResult) Err() error { return codeErr(r.Code) }

// Info tells the counts of 1 to 100 users, in the order of ids. Those of users
// that do not exist are zero.
func (c *Client) Info(ctx context.Context, ids ...string) ([]InfoResult, error) {
	if err := checkCount(len(ids), wire.MaxIDs); err != nil {
		return nil, err
	}
	cl := c.core.newCall(wire.TypeInfo, false)
	defer c.core.release(cl)
	request := wire.InfoRequest{Flags: c.call.readFlags(), UserIDs: cl.idList(ids)}
	cl.body = request.Append(cl.body[:0])
	if err := exchangeEach(ctx, c.core, cl, &cl.info, &cl.info.Items, len(ids)); err != nil {
		return nil, err
	}
	results := make([]InfoResult, len(ids))
	for i, it := range cl.info.Items {
		results[i] = InfoResult{ids[i], it.Code, it.Followers, it.Following, it.Mutual}
	}
	return results, nil
}
