package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// edgeVerb is what follow and unfollow differ in.
type edgeVerb struct {
	name, usage, description string
	unchanged                string // said of an id for which there was nothing to do
	call                     func(c *client.Client, ctx context.Context, me string, ids ...string) ([]client.EdgeResult, error)
}

func follow() edgeVerb {
	return edgeVerb{
		name:  "follow",
		usage: "make ME follow other users, 1 to 20 at once",
		description: `It answers once the follows are durable and both sides see them. Following somebody
already followed succeeds, changes nothing and keeps the first follow time.

   kith follow alice bob carol`,
		unchanged: "followed already",
		call:      (*client.Client).Follow,
	}
}

func unfollow() edgeVerb {
	return edgeVerb{
		name:  "unfollow",
		usage: "make ME no longer follow other users, 1 to 20 at once",
		description: `Unfollowing somebody not followed succeeds and changes nothing.

   kith unfollow alice bob`,
		unchanged: "was not followed",
		call:      (*client.Client).Unfollow,
	}
}

// edgeJSON is the answer for one user id; its field names are fixed.
type edgeJSON struct {
	UserID  string `json:"user_id"`
	Code    string `json:"code"`
	Message string `json:"message,omitempty"` // where the code is not ok
	Pending bool   `json:"pending,omitempty"` // durable, but the other user may not see it yet
}

func edgeCommand(e *env, v edgeVerb) *cli.Command {
	return &cli.Command{
		Name:        v.name,
		Usage:       v.usage,
		UsageText:   "kith " + v.name + " ME ID...",
		Description: v.description,
		Action: withResults(e, 2, func(ctx context.Context, s *session, args []string) ([]client.EdgeResult, error) {
			return v.call(s.Client, ctx, args[0], args[1:]...)
		}, v.answer),
	}
}

func (v edgeVerb) answer(results []client.EdgeResult) (a answer, bad int) {
	docs := make([]edgeJSON, len(results))
	a.header, a.tsvColumns = []string{"USER ID", "CODE", "MESSAGE"}, 2
	for i, r := range results {
		docs[i] = edgeJSON{UserID: r.UserID, Code: r.Code.String(), Message: idMessage(r.UserID, r.Code), Pending: r.Pending}
		message := textCell(docs[i].Message)
		switch {
		case r.Code != wire.OK:
			bad++
		case r.Pending:
			message.shown = "durable; the other side follows"
		case !r.Changed:
			message.shown = v.unchanged
		}
		a.rows = append(a.rows, []cell{userCell(r.UserID), same(r.Code), message})
	}
	a.json = docs
	return a, bad
}

// idMessage says what the code of one user id means; empty for ok.
func idMessage(id string, code wire.Code) string {
	switch code {
	case wire.OK:
		return ""
	case wire.BadRequest:
		if err := shard.CheckUserID([]byte(id)); err != nil {
			return err.Error()
		}
		return "the server does not take this user id"
	case wire.SelfFollow:
		return "a user cannot follow itself"
	case wire.FollowingFull:
		return "the user follows as many others as it may; unfollow some first"
	case wire.Unavailable:
		return "not done, for the user's shard has no leader just now; try again in a moment"
	case wire.Timeout:
		return "it is not known whether it was done; it is safe to repeat it"
	}
	return fmt.Sprintf("the server answered %s", code)
}
