package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/internal/console"
)

// session is a connected client and where answers go.
type session struct {
	*client.Client
	addr string
	out  output
}

// withSession makes an action of a function that needs a connection and nothing
// checked before it but the number of arguments.
func withSession(e *env, least, most int, act func(*cli.Context, *session) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := wantArgs(c, least, most); err != nil {
			return err
		}
		return useSession(e, c, act)
	}
}

// withResults makes an action of a call that is given the arguments, at least so
// many, and has a result for each user id among them. show also counts the ids that
// were refused.
func withResults[R any](e *env, least int, call func(context.Context, *session, []string) ([]R, error), show func([]R) (a answer, bad int)) cli.ActionFunc {
	return withSession(e, least, -1, func(c *cli.Context, s *session) error {
		results, err := call(c.Context, s, c.Args().Slice())
		if err != nil {
			return err
		}
		a, bad := show(results)
		if err := s.out.write(a); err != nil {
			return err
		}
		if bad > 0 {
			return fmt.Errorf("%d of %d ids refused; the answer says why", bad, len(results))
		}
		return nil
	})
}

// useSession connects, acts, and disconnects.
func useSession(e *env, c *cli.Context, act func(*cli.Context, *session) error) error {
	s, err := connect(e, c)
	if err != nil {
		return err
	}
	err = act(c, s)
	_ = s.Close() // always nil
	return explain(s.addr, err)
}

func connect(e *env, c *cli.Context) (*session, error) {
	out, err := newOutput(e, c.String(flagOutput))
	if err != nil {
		return nil, err
	}
	opts, err := clientOptions(c)
	if err != nil {
		return nil, err
	}
	s := &session{addr: strings.Join(opts.Addrs, ","), out: out}
	s.Client, err = client.Dial(context.Background(), opts)
	if err != nil {
		return nil, explain(s.addr, err)
	}
	return s, nil
}

func newOutput(e *env, chosen string) (output, error) {
	f := format(chosen)
	switch f {
	case formatTable, formatJSON, formatTSV:
	case "":
		f = formatJSON
		if e.stdoutTerminal {
			f = formatTable
		}
	default:
		return output{}, console.Usagef("--%s is %q, not table, json or tsv", flagOutput, chosen)
	}
	return output{e.stdout, f}, nil
}

func clientOptions(c *cli.Context) (client.Options, error) {
	timeout := c.Duration(flagTimeout)
	if timeout < time.Millisecond {
		return client.Options{}, console.Usagef("--%s is %v; give at least 1ms", flagTimeout, timeout)
	}
	o := client.Options{
		Addrs: strings.Split(c.String(flagAddr), ","), Connections: 1,
		CallTimeout: timeout, DialTimeout: timeout,
	}
	for _, addr := range o.Addrs {
		if addr == "" {
			return o, console.Usagef("--%s names no node", flagAddr)
		}
	}
	if path := c.String(flagTokenFile); path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return o, console.Usagef("--%s: %v", flagTokenFile, err)
		}
		o.Credentials = string(bytes.TrimSpace(token))
	}
	var err error
	o.TLSConfig, err = tlsConfig(c.Bool(flagTLS), c.String(flagTLSCA))
	return o, err
}

// tlsConfig is nil for a connection in the clear.
func tlsConfig(wanted bool, authorities string) (*tls.Config, error) {
	if !wanted && authorities == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if authorities == "" {
		return config, nil
	}
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return nil, console.Usagef("--%s: %v", flagTLSCA, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, console.Usagef("--%s: %s holds no certificate", flagTLSCA, authorities)
	}
	return config, nil
}
