package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
)

// Names of the global flags.
const (
	flagAddr      = "addr"
	flagOutput    = "output"
	flagTimeout   = "timeout"
	flagTokenFile = "token-file"
	flagTLS       = "tls"
	flagTLSCA     = "tls-ca"
)

const description = `A follows B: B is in A's following list, A is in B's followers list. Each following the
other makes them mutual. User ids are any text of up to 128 bytes without control
characters; a user exists from the first follow that names it.

   kith follow alice bob carol         alice follows bob and carol
   kith check alice bob                what is bob to alice? 0 none, 1 follower, 2 following, 3 mutual
   kith info alice                     how many followers, following, mutual
   kith followers bob --limit 20       who follows bob, newest first
   kith import graph.tsv.gz            load an edge list
   kith export - | zstd > graph.zst    write all follows, with their times

Flags may stand anywhere. Behind -- nothing is a flag: kith info -- -odd-id

--output is table on a terminal and json elsewhere, unless given. JSON and TSV are for
scripts: fields are added to JSON, never changed; TSV has no header line.

Exit status: 0 all ok, 1 the server refused something or the work was not finished,
2 wrong usage, 3 no answer from the node.`

func newApp(e *env) *cli.App {
	return &cli.App{
		Name:            "kith",
		Usage:           "ask and change a follow graph",
		UsageText:       "kith COMMAND [ARGUMENTS] [FLAGS]",
		Description:     description,
		Version:         console.Version(version),
		Reader:          e.stdin,
		Writer:          e.stdout,
		ErrWriter:       e.stderr,
		HideHelpCommand: true,
		Flags:           globalFlags(),
		Commands:        commands(e),
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return console.Usagef("there is no command %q; `kith --help` lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

func commands(e *env) []*cli.Command {
	all := []*cli.Command{
		edgeCommand(e, follow()), edgeCommand(e, unfollow()), checkCommand(e), infoCommand(e),
		listCommand(e, followers()), listCommand(e, following()), listCommand(e, mutuals()),
		importCommand(e), exportCommand(e), statusCommand(e), pingCommand(e),
	}
	for _, command := range all {
		command.OnUsageError = usageError
		command.HideHelpCommand = true
	}
	return all
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagAddr, EnvVars: []string{"KITH_ADDR"}, Value: client.DefaultAddr,
			Usage: "the node's `ADDRESS`, host:port or unix:/path; several by commas"},
		&cli.StringFlag{Name: flagOutput, Aliases: []string{"o"}, EnvVars: []string{"KITH_OUTPUT"}, DefaultText: "table on a terminal, else json",
			Usage: "write `FORMAT`: table, json or tsv"},
		&cli.DurationFlag{Name: flagTimeout, EnvVars: []string{"KITH_TIMEOUT"}, Value: 10 * time.Second,
			Usage: "wait that long for an answer"},
		&cli.StringFlag{Name: flagTokenFile, EnvVars: []string{"KITH_TOKEN_FILE"},
			Usage: "show the node the secret in `FILE`"},
		&cli.BoolFlag{Name: flagTLS, EnvVars: []string{"KITH_TLS"}, Usage: "speak TLS, with the system's authorities"},
		&cli.StringFlag{Name: flagTLSCA, EnvVars: []string{"KITH_TLS_CA"}, Usage: "speak TLS, with the authorities in `FILE`, PEM"},
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	help := "kith --help"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "kith" {
		help = fmt.Sprintf("kith %s --help", c.Command.Name)
	}
	hint := ""
	if strings.Contains(err.Error(), "not defined") { // package flag has no error value for it
		hint = "; an id that starts with - goes behind --"
	}
	return console.Usagef("%v; see `%s`%s", err, help, hint)
}

// wantArgs refuses a number of arguments that the command does not take; most
// is without a limit when negative.
func wantArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	if n >= least && (most < 0 || n <= most) {
		return nil
	}
	return console.Usagef("wrong number of arguments; usage: %s; see `kith %s --help`", c.Command.UsageText, c.Command.Name)
}
