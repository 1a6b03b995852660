package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/shard"
)

// Names of flags.
const (
	flagDataDir        = "data-dir"
	flagListen         = "listen"
	flagPeerListen     = "peer-listen"
	flagShards         = "shards"
	flagFollowingLimit = "following-limit"
	flagMinFreeDisk    = "min-free-disk"
	flagLogLevel       = "log-level"
	flagLogFormat      = "log-format"
	flagTLSCert        = "tls-cert"
	flagTLSKey         = "tls-key"
	flagTokenFile      = "token-file"
	flagInsecure       = "insecure"
	flagStopTimeout    = "stop-timeout"
)

const description = `With no flags it keeps its data in ./kith-data and serves clients on 127.0.0.1:7400
and the other nodes of a cluster on 127.0.0.1:7401:

   kithd

Each flag can be given by the environment too: KITHD_DATA_DIR for --data-dir, and so on.
It prints one line when it is ready, and logs to standard error. SIGINT or SIGTERM
stops it: it answers what it has accepted, then ends; a second signal ends it at once.
Acknowledged follows survive either.

Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage.

Examples:

   kithd --data-dir /var/lib/kith --listen 127.0.0.1:0         a free port, told in the ready line
   kithd --listen unix:/run/kith.sock                          a Unix socket
   kithd --listen 0.0.0.0:7400 --tls-cert node.crt --tls-key node.key --token-file token`

// newApp describes the command line of n.
func newApp(n *node) *cli.App {
	return &cli.App{
		Name:            "kithd",
		Usage:           "serve a follow graph",
		UsageText:       "kithd [flags]",
		Description:     description,
		Version:         console.Version(version),
		Writer:          n.stdout,
		ErrWriter:       n.stderr,
		HideHelpCommand: true,
		Flags:           flags(),
		Action:          n.run,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return console.Usagef("%v; `kithd --help` lists all flags", err)
		},
		ExitErrHandler: func(*cli.Context, error) {},
	}
}

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagDataDir, EnvVars: env("DATA_DIR"), Value: "./kith-data",
			Usage: "keep the data in `FOLDER`; it is made when it is not there"},
		&cli.StringFlag{Name: flagListen, EnvVars: env("LISTEN"), Value: "127.0.0.1:7400",
			Usage: "serve clients on `ADDRESS`: host:port, port 0 for any that is free, or unix:/path"},
		&cli.StringFlag{Name: flagPeerListen, EnvVars: env("PEER_LISTEN"), Value: "127.0.0.1:7401",
			Usage: "serve the other nodes of the cluster on `ADDRESS`, host:port"},
		&cli.IntFlag{Name: flagShards, EnvVars: env("SHARDS"), DefaultText: fmt.Sprint(shard.DefaultShards),
			Usage: "number of shards of a new data folder, a power of two up to 256; fixed for ever"},
		&cli.UintFlag{Name: flagFollowingLimit, EnvVars: env("FOLLOWING_LIMIT"), DefaultText: "what the data folder has, 5000 in a new one",
			Usage: "how many others a user may follow; what is given becomes the setting of the whole cluster"},
		&cli.StringFlag{Name: flagMinFreeDisk, EnvVars: env("MIN_FREE_DISK"), DefaultText: "640MiB",
			Usage: "refuse writes while less than `SIZE` of the disk with the data folder is free; 0 for never"},
		&cli.StringFlag{Name: flagLogLevel, EnvVars: env("LOG_LEVEL"), Value: "info",
			Usage: "log from `LEVEL` up: debug, info, warn or error"},
		&cli.StringFlag{Name: flagLogFormat, EnvVars: env("LOG_FORMAT"), Value: "text",
			Usage: "log as text or json"},
		&cli.StringFlag{Name: flagTLSCert, EnvVars: env("TLS_CERT"),
			Usage: "speak TLS with the certificate (and chain) in `FILE`, PEM"},
		&cli.StringFlag{Name: flagTLSKey, EnvVars: env("TLS_KEY"),
			Usage: "the private key of --tls-cert in `FILE`, PEM"},
		&cli.StringFlag{Name: flagTokenFile, EnvVars: env("TOKEN_FILE"),
			Usage: "let in only clients that show the secret in `FILE`"},
		&cli.BoolFlag{Name: flagInsecure, EnvVars: env("INSECURE"),
			Usage: "serve other machines without TLS or without a token"},
		&cli.DurationFlag{Name: flagStopTimeout, EnvVars: env("STOP_TIMEOUT"), Value: 30 * time.Second,
			Usage: "when told to stop, wait that long for clients to take their answers"},
	}
}

func env(name string) []string { return []string{"KITHD_" + name} }
