package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/kithgraph/kith/wire"
)

// Defaults of Options.
const (
	DefaultAddr        = "127.0.0.1:7400"
	DefaultConnections = 2
	DefaultMaxInFlight = 4096
	DefaultCallTimeout = 10 * time.Second
	DefaultDialTimeout = 5 * time.Second
	DefaultKeepAlive   = 10 * time.Second
	DefaultMinBackoff  = 10 * time.Millisecond
	DefaultMaxBackoff  = time.Second
)

const (
	// maxInFlightLimit keeps a slot's number within the lower half of a request id.
	maxInFlightLimit   = 1 << slotBits
	maxConnections     = 64
	readBufferBytes    = 64 << 10
	maxQueuedBytes     = 1 << 20
	maxKeptBufferBytes = 256 << 10
	unixAddressPrefix  = "unix:"
)

// Options tell Dial whom to talk to and how. The zero value of each field is its default.
type Options struct {
	// Addr is the node to connect to, "host:port" or "unix:/path/of/socket".
	// Default DefaultAddr, unless Addrs names a node.
	Addr string
	// Addrs are further nodes of the same cluster. Connections are spread over all
	// of them, and a broken one is made again to the next.
	Addrs []string
	// Dialer opens a connection to one of the addresses. Default: a net.Dialer,
	// TCP or, for "unix:" addresses, a Unix socket.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)
	// TLSConfig, when not nil, wraps each connection in TLS. ServerName is taken
	// from the address when it is empty.
	TLSConfig *tls.Config
	// Credentials are shown to the server in the hello. Default: none.
	Credentials string

	// Connections is the number of connections held open, 1 to 64. Default 2: one
	// gives the best coalescing of many callers, more let several of the server's
	// cores read for this client.
	Connections int
	// MaxInFlight bounds the requests under way on one connection, 1 to 65,536;
	// calls beyond it wait. Default 4,096, or less where the server says so.
	MaxInFlight int

	// CallTimeout bounds a call whose context has no deadline, all attempts
	// together, and each wait for the next frame of a stream. Default 10 s.
	CallTimeout time.Duration
	// DialTimeout bounds one attempt to connect, hello included. Default 5 s.
	DialTimeout time.Duration
	// KeepAlive is how long a connection may be silent before it is pinged; one
	// that does not answer for as long again is given up. Default 10 s.
	KeepAlive time.Duration
	// MaxAttempts bounds the attempts of one call. Default 0: as many as its
	// deadline allows. 1 switches retries off.
	MaxAttempts int
	// MinBackoff is about the first pause between two attempts to call or to
	// connect; each further pause doubles up to MaxBackoff. Default 10 ms and 1 s.
	MinBackoff, MaxBackoff time.Duration
	// Jitter returns a number in [0,1) that spreads the pauses of many clients.
	// Default math/rand/v2.Float64. Called from several goroutines.
	Jitter func() float64

	// Logger hears of connections lost and made again. Default: nobody.
	Logger *slog.Logger
}

// CallOptions change the calls made by the client that With returns.
type CallOptions struct {
	// NoWait lets follow, unfollow and import answer as soon as the change is
	// durable, though the other user may not see it yet.
	NoWait bool
	// Consistency says how fresh the answers of reads must be.
	Consistency Consistency
}

// Consistency says which state of the graph a read may see.
type Consistency uint8

const (
	// Default: the shard's leader answers from memory.
	Default Consistency = iota
	// Consistent: the leader makes sure that it still leads before it answers.
	Consistent
	// Stale: any replica answers, perhaps from a slightly older state.
	Stale
)

// Validate reports the first field that holds a value it may not, as ErrOptions.
func (o Options) Validate() error {
	positive := func(name string, n, max int) error {
		if n < 0 || n > max {
			return fmt.Errorf("%w: %s is %d, not between 0 (default) and %d", ErrOptions, name, n, max)
		}
		return nil
	}
	for _, check := range []error{
		positive("Connections", o.Connections, maxConnections),
		positive("MaxInFlight", o.MaxInFlight, maxInFlightLimit),
		positive("MaxAttempts", o.MaxAttempts, 1<<30),
		positive("length of Credentials", len(o.Credentials), wire.MaxCredentialsBytes),
	} {
		if check != nil {
			return check
		}
	}
	for _, d := range []time.Duration{o.CallTimeout, o.DialTimeout, o.KeepAlive, o.MinBackoff, o.MaxBackoff} {
		if d < 0 {
			return fmt.Errorf("%w: negative duration %v", ErrOptions, d)
		}
	}
	return nil
}

// withDefaults returns o with every default filled in.
func (o Options) withDefaults() Options {
	if o.Addr != "" {
		o.Addrs = append([]string{o.Addr}, o.Addrs...)
	}
	if len(o.Addrs) == 0 {
		o.Addrs = []string{DefaultAddr}
	}
	orInt := func(p *int, value int) {
		if *p == 0 {
			*p = value
		}
	}
	orDuration := func(p *time.Duration, value time.Duration) {
		if *p == 0 {
			*p = value
		}
	}
	orInt(&o.Connections, DefaultConnections)
	orInt(&o.MaxInFlight, DefaultMaxInFlight)
	orDuration(&o.CallTimeout, DefaultCallTimeout)
	orDuration(&o.DialTimeout, DefaultDialTimeout)
	orDuration(&o.KeepAlive, DefaultKeepAlive)
	orDuration(&o.MinBackoff, DefaultMinBackoff)
	orDuration(&o.MaxBackoff, DefaultMaxBackoff)
	if o.Dialer == nil {
		o.Dialer = dialNet
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// dialNet is the default Dialer.
func dialNet(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	if path, ok := strings.CutPrefix(addr, unixAddressPrefix); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", addr)
}

// backoff returns the pause after so many failures in a row, with jitter.
func (o *Options) backoff(failures int) time.Duration {
	pause := o.MaxBackoff
	if shift := failures - 1; shift < 30 && o.MinBackoff<<shift < o.MaxBackoff {
		pause = o.MinBackoff << shift
	}
	return time.Duration(float64(pause) * (0.5 + o.Jitter()/2))
}
