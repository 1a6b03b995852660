package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/server"
)

// node is one run of kithd.
type node struct {
	stdout, stderr io.Writer
	signals        <-chan os.Signal
}

// run starts the server and serves until a signal or a failure.
func (n *node) run(c *cli.Context) error {
	opts, err := options(c, n.stderr)
	if err != nil {
		return err
	}
	opts.Listener, err = listen(c.String(flagListen))
	if err != nil {
		return advise(err)
	}
	opts.PeerListener, err = listenTCP(flagPeerListen, c.String(flagPeerListen))
	if err != nil {
		return errors.Join(advise(err), opts.Listener.Close())
	}
	if err := checkExposure(&opts); err != nil {
		return errors.Join(err, opts.Listener.Close(), opts.PeerListener.Close())
	}
	fatal := make(chan error, 1)
	opts.Fatal = func(err error) { fatal <- err }
	s, err := n.start(c.Context, opts)
	if err != nil || s == nil {
		return err
	}
	fmt.Fprintf(n.stdout, "kithd ready: clients %s, peers %s, data %s\n", address(s.Addr()), opts.PeerListener.Addr(), console.Escape(opts.Dir))
	select {
	case err = <-fatal: // the server has logged it
	case sig := <-n.signals:
		opts.Logger.Info("stopping", "signal", sig.String())
	}
	return n.stop(s.Shutdown, err, c.Duration(flagStopTimeout), opts.Logger)
}

// start starts the server, which may have a long log to replay. A signal
// meanwhile gives it up: neither server nor error.
func (n *node) start(ctx context.Context, opts server.Options) (*server.Server, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type started struct {
		server *server.Server
		err    error
	}
	done := make(chan started, 1)
	go func() {
		s, err := server.Start(ctx, opts)
		done <- started{s, err}
	}()
	select {
	case d := <-done:
		return d.server, advise(d.err)
	case sig := <-n.signals:
		opts.Logger.Info("stopping before being ready", "signal", sig.String())
	}
	cancel()
	select {
	case d := <-done:
		if d.server == nil {
			return nil, nil
		}
		return nil, d.server.Shutdown(context.Background())
	case sig := <-n.signals:
		return nil, fmt.Errorf("stopped at once by a second signal (%s)", sig)
	}
}

// fatalPatience bounds the stop after a failure. There is nothing left to save, the
// disk may never answer, and whoever restarts the process waits for its end.
const fatalPatience = 3 * time.Second

// stop ends the server in order, or at once on a further signal. because is the
// failure that made it stop, nil for a signal; after one it does not wait for a
// shutdown that hangs.
func (n *node) stop(shutdown func(context.Context) error, because error, patience time.Duration, log *slog.Logger) error {
	if because != nil {
		patience = min(patience, fatalPatience)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- shutdown(ctx) }()
	var tooLong <-chan struct{}
	if because != nil {
		tooLong = ctx.Done()
	}
	select {
	case <-tooLong:
		return advise(because)
	case err := <-done:
		if because != nil {
			return advise(because)
		}
		if err == nil {
			log.Info("stopped")
		}
		return err
	case sig := <-n.signals:
		return fmt.Errorf("stopped at once by a second signal (%s)", sig)
	}
}

// address writes an address as --addr of kith takes it.
func address(a net.Addr) string {
	if a.Network() == "unix" {
		return unixPrefix + a.String()
	}
	return a.String()
}
