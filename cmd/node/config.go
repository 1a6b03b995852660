package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/server"
	"github.com/kithgraph/kith/shard"
)

// unixPrefix starts the address of a Unix socket.
const unixPrefix = "unix:"

// options turns flags into what a server is started with, all but its listener.
// It touches nothing but the files that the flags name.
func options(c *cli.Context, log io.Writer) (server.Options, error) {
	if c.Args().Present() {
		return server.Options{}, console.Usagef("%q is not a flag, and kithd takes nothing else; see `kithd --help`", c.Args().First())
	}
	o := server.Options{
		FS: vfs.Default, Dir: c.String(flagDataDir), Now: time.Now, Rand: rand.Reader,
		Version: c.App.Version, Shards: c.Int(flagShards), AllowInsecure: c.Bool(flagInsecure),
	}
	for _, set := range []func(*server.Options, *cli.Context) error{setGraph, setDisk, setTLS, setToken} {
		if err := set(&o, c); err != nil {
			return server.Options{}, err
		}
	}
	var err error
	o.Logger, err = newLogger(log, c.String(flagLogLevel), c.String(flagLogFormat))
	return o, err
}

func setGraph(o *server.Options, c *cli.Context) error {
	if o.Dir == "" {
		return console.Usagef("--%s is empty", flagDataDir)
	}
	if _, err := shard.NewLayout(o.Shards); c.IsSet(flagShards) && err != nil {
		return console.Usagef("--%s: %v", flagShards, err)
	}
	limit := c.Uint(flagFollowingLimit)
	if o.FollowingLimit = uint32(limit); uint(o.FollowingLimit) != limit || c.IsSet(flagFollowingLimit) && limit == 0 {
		return console.Usagef("--%s must be from 1 to %d", flagFollowingLimit, ^uint32(0))
	}
	if _, _, err := net.SplitHostPort(c.String(flagPeerListen)); err != nil {
		return console.Usagef("--%s: %v", flagPeerListen, err)
	}
	return nil
}

func setDisk(o *server.Options, c *cli.Context) error {
	if !c.IsSet(flagMinFreeDisk) {
		return nil
	}
	size, err := parseSize(c.String(flagMinFreeDisk))
	if err != nil {
		return console.Usagef("--%s %q is %v", flagMinFreeDisk, c.String(flagMinFreeDisk), err)
	}
	if o.Raft.MinFreeBytes = size; size == 0 {
		o.Raft.MinFreeBytes = -1
	}
	return nil
}

func setTLS(o *server.Options, c *cli.Context) error {
	cert, key := c.String(flagTLSCert), c.String(flagTLSKey)
	if (cert == "") != (key == "") {
		return console.Usagef("--%s and --%s go together", flagTLSCert, flagTLSKey)
	}
	if cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate and key: %w", err)
	}
	o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	return nil
}

func setToken(o *server.Options, c *cli.Context) error {
	path := c.String(flagTokenFile)
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	token := bytes.TrimSpace(text)
	if len(token) == 0 {
		return fmt.Errorf("token: %s is empty; put a secret there, for example by `openssl rand -hex 32`", path)
	}
	o.Authenticate = server.Token(token)
	return nil
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var from slog.Level
	switch level {
	case "debug", "info", "warn", "error":
		if err := from.UnmarshalText([]byte(level)); err != nil {
			return nil, err
		}
	default:
		return nil, console.Usagef("--%s is %q, not debug, info, warn or error", flagLogLevel, level)
	}
	opts := &slog.HandlerOptions{Level: from}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, console.Usagef("--%s is %q, not text or json", flagLogFormat, format)
}

// checkExposure refuses what server.Start would refuse too, in the words of flags.
func checkExposure(o *server.Options) error {
	if o.AllowInsecure {
		return nil
	}
	if peers, ok := o.PeerListener.Addr().(*net.TCPAddr); ok && !peers.IP.IsLoopback() {
		return console.Usagef("%s can be reached from other machines, and what nodes say to each other is not encrypted: give --%s 127.0.0.1:7401, or --%s if the network is the cluster's own",
			peers, flagPeerListen, flagInsecure)
	}
	tcp, ok := o.Listener.Addr().(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || o.TLSConfig != nil && o.Authenticate != nil {
		return nil
	}
	return console.Usagef("%s can be reached from other machines: give --%s, --%s and --%s, listen on 127.0.0.1, or give --%s if that is meant",
		tcp, flagTLSCert, flagTLSKey, flagTokenFile, flagInsecure)
}

// listen opens the clients' listener.
func listen(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return listenUnix(path)
	}
	return listenTCP(flagListen, address)
}

// listenTCP opens the listener whose address the flag gives.
func listenTCP(flag, address string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, console.Usagef("--%s: %v", flag, err)
	}
	l, err := net.Listen("tcp", address)
	var wrong *net.AddrError
	if errors.As(err, &wrong) {
		return nil, console.Usagef("--%s: %v", flag, wrong)
	}
	return l, err
}

// listenUnix takes over the socket that a node left behind when it was killed,
// and nothing but a socket.
func listenUnix(path string) (net.Listener, error) {
	if path == "" {
		return nil, console.Usagef("--%s: unix: is followed by the path of the socket", flagListen)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("%s is there and is no socket; choose another path", path)
	}
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if nc, dialed := net.Dial("unix", path); !errors.Is(dialed, syscall.ECONNREFUSED) {
		if dialed == nil {
			_ = nc.Close()
		}
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}
