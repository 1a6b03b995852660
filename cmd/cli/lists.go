package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/wire"
)

// Names of the flags of lists.
const (
	flagLimit  = "limit"
	flagCursor = "cursor"
	flagAll    = "all"
)

// listVerb is what the three lists differ in.
type listVerb struct {
	name, usage string
	page        func(c *client.Client, ctx context.Context, user string, o client.PageOptions) (client.Page, error)
}

func followers() listVerb {
	return listVerb{"followers", "list who follows a user, newest first", (*client.Client).FollowersPage}
}

func following() listVerb {
	return listVerb{"following", "list whom a user follows, newest first", (*client.Client).FollowingPage}
}

func mutuals() listVerb {
	return listVerb{"mutuals", "list who follows a user and is followed back, newest first", (*client.Client).MutualsPage}
}

// itemJSON and pageJSON are the answers; their field names are fixed.
type itemJSON struct {
	UserID     string `json:"user_id"`
	FollowTime uint32 `json:"follow_time"` // seconds since 1970 UTC
}

type pageJSON struct {
	Items      []itemJSON `json:"items"`
	NextCursor string     `json:"next_cursor"` // empty at the end
	Total      int        `json:"total"`       // length of the whole list
}

func listCommand(e *env, v listVerb) *cli.Command {
	return &cli.Command{
		Name:      v.name,
		Usage:     v.usage,
		UsageText: fmt.Sprintf("kith %s ID [--limit N] [--cursor CURSOR] [--all]", v.name),
		Description: fmt.Sprintf(`One page, and the cursor that leads to the next; or with --all every page, as one JSON
document, or TSV line, for each user.

   kith %[1]s alice --limit 20
   kith %[1]s alice --all --output tsv | cut -f1`, v.name),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: flagLimit, DefaultText: "100, with --all 500", Usage: "users on a page, 1 to 500"},
			&cli.StringFlag{Name: flagCursor, Usage: "begin where `CURSOR`, from an answer's next_cursor, points"},
			&cli.BoolFlag{Name: flagAll, Usage: "go on to the end of the list"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			o := client.PageOptions{Cursor: c.String(flagCursor), Limit: c.Int(flagLimit)}
			if c.IsSet(flagLimit) && o.Limit < 1 {
				return console.Usagef("--%s is %d; give 1 to %d", flagLimit, o.Limit, wire.MaxPage)
			}
			show := listPage
			if c.Bool(flagAll) {
				show = listAll
			}
			return useSession(e, c, func(c *cli.Context, s *session) error {
				return show(c.Context, e, s, v, c.Args().First(), o)
			})
		},
	}
}

func listPage(ctx context.Context, e *env, s *session, v listVerb, user string, o client.PageOptions) error {
	page, err := v.page(s.Client, ctx, user, o)
	if err != nil {
		return err
	}
	doc := pageJSON{Items: make([]itemJSON, len(page.Items)), NextCursor: page.NextCursor, Total: page.Total}
	for i, item := range page.Items {
		doc.Items[i] = itemJSON(item)
	}
	a := itemAnswer(page.Items)
	a.json = doc
	a.footer = fmt.Sprintf("%d of %d", len(page.Items), page.Total)
	more := fmt.Sprintf("--cursor %s leads on, --all shows all", console.Escape(page.NextCursor))
	if page.NextCursor != "" {
		a.footer += "; " + more
		if s.out.format == formatTSV {
			defer fmt.Fprintf(e.stderr, "kith: %d of %d; %s\n", len(page.Items), page.Total, more)
		}
	}
	return s.out.write(a)
}

// listAll writes a list page by page and holds no more than one.
func listAll(ctx context.Context, e *env, s *session, v listVerb, user string, o client.PageOptions) error {
	if o.Limit == 0 {
		o.Limit = wire.MaxPage
	}
	for first := true; first || o.Cursor != ""; first = false {
		page, err := v.page(s.Client, ctx, user, o)
		if err != nil {
			if !first {
				fmt.Fprintf(e.stderr, "kith: the list is not complete; --all --cursor %s goes on where it stopped\n", console.Escape(o.Cursor))
			}
			return err
		}
		if err := writeItems(s.out, page.Items, first); err != nil {
			return err
		}
		o.Cursor = page.NextCursor
	}
	return nil
}

func writeItems(out output, items []client.Item, first bool) error {
	if out.format != formatJSON {
		a := itemAnswer(items)
		if !first {
			a.header = nil
		}
		return out.write(a)
	}
	for _, item := range items {
		if err := out.document(itemJSON(item)); err != nil {
			return err
		}
	}
	return nil
}

// itemAnswer has the table and the TSV of items. The table has the times in front:
// they have one width, so that pages written one by one look like one table.
func itemAnswer(items []client.Item) answer {
	a := answer{header: []string{"FOLLOWED AT (UTC)  ", "USER ID"}}
	for _, item := range items {
		id, at := userCell(item.UserID), item.Time().Format(time.DateTime)
		a.rows = append(a.rows, []cell{{at, id.raw}, {id.shown, strconv.FormatUint(uint64(item.FollowTime), 10)}})
	}
	return a
}
