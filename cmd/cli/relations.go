package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/wire"
)

// checkJSON is the answer for one user id; its field names are fixed.
type checkJSON struct {
	UserID     string `json:"user_id"`
	Code       string `json:"code"`
	FollowType uint8  `json:"follow_type"`
	Message    string `json:"message,omitempty"` // where the code is not ok
}

func checkCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "tell what other users are to ME, 1 to 100 at once",
		UsageText: "kith check ME ID...",
		Description: `The follow type is 0 for no relationship, 1 if the user follows ME, 2 if ME follows the
user, 3 for both. Users that nobody knows have type 0.

   kith check alice bob carol`,
		Action: withResults(e, 2, func(ctx context.Context, s *session, args []string) ([]client.CheckResult, error) {
			return s.Check(ctx, args[0], args[1:]...)
		}, checkAnswer),
	}
}

func checkAnswer(results []client.CheckResult) (a answer, bad int) {
	docs := make([]checkJSON, len(results))
	a.header, a.tsvColumns = []string{"USER ID", "CODE", "TYPE", ""}, 3
	for i, r := range results {
		docs[i] = checkJSON{r.UserID, r.Code.String(), uint8(r.Type), idMessage(r.UserID, r.Code)}
		row := []cell{userCell(r.UserID), same(r.Code), same(uint8(r.Type)), textCell(docs[i].Message)}
		if r.Code == wire.OK {
			row[3].shown = r.Type.String()
		} else {
			bad++
		}
		a.rows = append(a.rows, row)
	}
	a.json = docs
	return a, bad
}

// infoJSON is the answer for one user id; its field names are fixed.
type infoJSON struct {
	UserID    string `json:"user_id"`
	Code      string `json:"code"`
	Followers uint32 `json:"followers"`
	Following uint32 `json:"following"`
	Mutual    uint32 `json:"mutual"`
	Message   string `json:"message,omitempty"` // where the code is not ok
}

func infoCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "count followers, following and mutual of users, 1 to 100 at once",
		UsageText: "kith info ID...",
		Description: `Users that nobody knows have zero of each.

   kith info alice bob`,
		Action: withResults(e, 1, func(ctx context.Context, s *session, args []string) ([]client.InfoResult, error) {
			return s.Info(ctx, args...)
		}, infoAnswer),
	}
}

func infoAnswer(results []client.InfoResult) (a answer, bad int) {
	docs := make([]infoJSON, len(results))
	a.header, a.tsvColumns = []string{"USER ID", "CODE", "FOLLOWERS", "FOLLOWING", "MUTUAL", ""}, 5
	for i, r := range results {
		docs[i] = infoJSON{r.UserID, r.Code.String(), r.Followers, r.Following, r.Mutual, idMessage(r.UserID, r.Code)}
		if r.Code != wire.OK {
			bad++
		}
		a.rows = append(a.rows, []cell{userCell(r.UserID), same(r.Code),
			same(r.Followers), same(r.Following), same(r.Mutual), textCell(docs[i].Message)})
	}
	a.json = docs
	return a, bad
}
