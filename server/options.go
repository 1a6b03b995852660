package server

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// Options is what a node is made of. Listener, FS, Dir, Now and Rand are
// required; for every other field nil and zero mean the default.
type Options struct {
	// Listener accepts the clients. Start takes it over and closes it, also when
	// it fails.
	Listener net.Listener
	// FS is the disk.
	FS vfs.FS
	// Dir is the data folder on FS. It is made when it is not there.
	Dir string
	// Shards is the number of shards of a new data folder, a power of two up to
	// shard.MaxShards. Default: that of the data folder, shard.DefaultShards for a
	// new one. Another number than the data folder's is refused.
	Shards int
	// FollowingLimit is how many users one user may follow, a setting of the whole
	// cluster. Default: what the cluster has, 5,000 when it is new.
	FollowingLimit uint32
	// Now is the clock of follow times and of the Listener's deadlines.
	Now func() time.Time
	// Rand is the source of ids and secrets of a new data folder, and of nonces; it
	// must be cryptographically secure and safe for concurrent use.
	Rand io.Reader
	// Logger gets the node's messages. Default: none.
	Logger *slog.Logger
	// Version is what status and the hello say of this build. Default "unknown".
	Version string
	// Fatal is called at most once, on its own goroutine, when the node must stop:
	// the disk failed, or an invariant is broken. The caller then calls Shutdown and
	// ends the process. Default: only Wait tells.
	Fatal func(error)

	// PeerListener accepts the other nodes of the cluster (PEERS.md). Start takes it
	// over and closes it, also when it fails. Default: other nodes cannot reach this
	// one.
	PeerListener net.Listener
	// PeerLimits bounds the traffic between nodes.
	PeerLimits PeerLimits

	// TLSConfig, when given, makes every connection TLS.
	TLSConfig *tls.Config
	// Authenticate judges the credentials of a hello; an error refuses the
	// connection with `denied`, and its text is logged, not sent. It is called on
	// many goroutines at once and must not block for long. Default: all may enter,
	// which is allowed on a loopback or Unix listener only. See EqualSecrets.
	Authenticate func(credentials []byte) error
	// AllowInsecure permits a listener that others can reach without TLSConfig and
	// Authenticate, and a PeerListener that others can reach: what nodes say to each
	// other is proved but not encrypted. Default false, for a node that anybody may
	// write to is seldom what was meant.
	AllowInsecure bool

	Limits Limits

	// Raft tunes the Raft groups and their stores. Its FS, Dir, Layout,
	// FollowingLimit, NodeID, Now, Logger, Fatal and OnLeader are overwritten.
	// Default: the defaults of raftfsm.
	Raft raftfsm.Options
}

// Limits bounds what clients can make a node hold and wait for.
type Limits struct {
	// Connections that are open at once. Further ones are refused with
	// `unavailable`. Default 10,000: an idle one costs about 10 KiB.
	Connections int
	// ConnectionsPerAddress is how many of them may come from one address; of an IPv6
	// address the first 64 bits count. Loopback and Unix sockets are exempt: who
	// comes that way is on this machine, or behind a proxy on it. Default 2,500, so
	// that no host takes all places; more where many clients share an address.
	ConnectionsPerAddress int
	// PendingHellos is how many of the connections may be without a finished hello.
	// One more makes the oldest of them close, so that silent strangers cannot keep
	// others out. Default 256.
	PendingHellos int
	// InFlight is how many requests of a connection, besides exports, may wait for
	// their answer before the server stops reading from it. Default 1,024; told in
	// the hello.
	InFlight int
	// InFlightBytes bounds the same requests by the memory that they take on their
	// way, about 1 KiB a write and 128 bytes a user id besides their own bytes. One
	// request is always allowed. Default 16 MiB.
	InFlightBytes int
	// RequestMemoryBytes bounds, for all connections together, waiting requests and
	// read buffers above ReadBufferBytes. Beyond it requests are refused with
	// `unavailable`. Default 256 MiB.
	RequestMemoryBytes int64
	// UnreadMemoryBytes bounds, for all connections together, the buffers that they
	// hold while a client does not take its answers. Beyond it the connection whose
	// client has taken nothing for longest is closed. It is apart from
	// RequestMemoryBytes, so that neither writers nor silent readers can use up what
	// the others need. Default 256 MiB.
	UnreadMemoryBytes int64
	// FrameBytes is the largest body of a frame, both ways; a client may agree to
	// less in its hello. Default wire.DefaultMaxFrameBytes (1 MiB).
	FrameBytes int
	// ReadBufferBytes is the size of the buffer that a busy connection reads into;
	// it grows only for a frame that does not fit. Default 64 KiB.
	ReadBufferBytes int
	// OutputPassBytes is how much answer one pass over the read buffer may be
	// expected to make before it is written. Default 64 KiB.
	OutputPassBytes int
	// OutputBytes is how much answer may wait to be written on a connection before
	// its streams stop and no more of its requests are read. Default 256 KiB.
	OutputBytes int
	// Exports is how many export streams one connection may have. They do not count
	// as InFlight. Default 4.
	Exports int
	// AllExports is how many export streams the node runs at once. Default 64.
	AllExports int

	// QueueCommands is how many commands of clients may wait in front of each shard's
	// log: every write is one, and one more for each shard in which it names a user
	// for the first time. Beyond it they are refused with `unavailable`. Other shards'
	// deliveries have places of their own, 4 for each shard. Default 65,536, which a
	// shard commits in well under Commit.
	QueueCommands int
	// QueueBytes bounds the same commands by their size in the log. At least
	// raftfsm.MaxEntryBytes; default 16 MiB.
	QueueBytes int
	// EntriesInFlight is how many log entries of a shard may wait for their commit;
	// commands that come meanwhile wait and share the next entry. At most 64, and no
	// more than Raft.MaxInFlight. Default 4: enough that the disk is never idle.
	EntriesInFlight int
	// WaitingWrites is how many waits of committed writes until another shard shows
	// them each shard may have; a write has one for each shard that it changes. Beyond
	// it writes are answered ok and pending at once. Default 65,536.
	WaitingWrites int
	// OutboxItems is how many changes of a shard may wait for one other shard. Beyond
	// it writes to users there are refused with `unavailable`; those that are on their
	// way already may exceed it. Default 1,048,576, about 12 MiB.
	OutboxItems int

	// Hello is how long a new connection may take for TLS and hello. Default 2 s.
	Hello time.Duration
	// Idle is how long a connection may be silent with nothing in flight; a ping
	// breaks the silence. It is also how long an export may be without credit.
	// Default 5 min.
	Idle time.Duration
	// Frame is how long a frame may take to arrive from its first byte. Default
	// 10 s, enough for 1 MiB over 1 Mbit/s.
	Frame time.Duration
	// Write is how long the client may take for 16 KiB of answers, or the rest of
	// them, and for up to a quarter more. Default 30 s.
	Write time.Duration
	// Commit is how long a write may take to be committed before it is answered with
	// `timeout`. Default 10 s, more than a disk's worst pause.
	Commit time.Duration
	// Visibility is how long a write waits to be visible on both sides before it is
	// answered ok and pending. Default 5 s.
	Visibility time.Duration
	// Close is how long a connection that is closed by an error may take to get the
	// answers of its accepted requests. Default 10 s. Shutdown is bounded by its
	// context instead.
	Close time.Duration
}

// Validate reports what is missing or contradictory, naming the field.
func (o *Options) Validate() error {
	required := []struct {
		name    string
		missing bool
	}{
		{"Listener", o.Listener == nil}, {"FS", o.FS == nil}, {"Dir", o.Dir == ""}, {"Now", o.Now == nil}, {"Rand", o.Rand == nil},
	}
	for _, r := range required {
		if r.missing {
			return fmt.Errorf("%w: %s is required", ErrOptions, r.name)
		}
	}
	if o.Shards != 0 {
		if _, err := shard.NewLayout(o.Shards); err != nil {
			return fmt.Errorf("%w: Shards: %v", ErrOptions, err)
		}
	}
	if !o.AllowInsecure && !isLocal(o.Listener.Addr()) && (o.TLSConfig == nil || o.Authenticate == nil) {
		return fmt.Errorf("%w: %s can be reached from other machines: set TLSConfig and Authenticate, listen on a loopback address, or set AllowInsecure",
			ErrOptions, o.Listener.Addr())
	}
	if o.PeerListener != nil && !o.AllowInsecure && !isLocal(o.PeerListener.Addr()) {
		return fmt.Errorf("%w: the peer port %s can be reached from other machines and is not encrypted: listen on a loopback address, or set AllowInsecure where the network is the cluster's own",
			ErrOptions, o.PeerListener.Addr())
	}
	if most := o.Raft.MaxInFlight; most > 0 && o.Limits.withDefaults().EntriesInFlight > most {
		return fmt.Errorf("%w: EntriesInFlight is more than Raft.MaxInFlight, %d", ErrOptions, most)
	}
	return errors.Join(o.Limits.validate(), o.PeerLimits.validate())
}

// withDefaults fills in what Validate lets stand empty.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Fatal == nil {
		o.Fatal = func(error) {}
	}
	o.Limits = o.Limits.withDefaults()
	o.PeerLimits = o.PeerLimits.withDefaults()
	return o
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Connections, 10_000)
	orDefault(&l.ConnectionsPerAddress, 2_500)
	orDefault(&l.PendingHellos, 256)
	orDefault(&l.InFlight, 1024)
	orDefault(&l.InFlightBytes, 16<<20)
	orDefault(&l.RequestMemoryBytes, 256<<20)
	orDefault(&l.UnreadMemoryBytes, 256<<20)
	orDefault(&l.FrameBytes, wire.DefaultMaxFrameBytes)
	orDefault(&l.ReadBufferBytes, 64<<10)
	orDefault(&l.OutputPassBytes, 64<<10)
	orDefault(&l.OutputBytes, 256<<10)
	orDefault(&l.Exports, 4)
	orDefault(&l.AllExports, 64)
	orDefault(&l.QueueCommands, 65_536)
	orDefault(&l.QueueBytes, 16<<20)
	orDefault(&l.EntriesInFlight, 4)
	orDefault(&l.WaitingWrites, 65_536)
	orDefault(&l.OutboxItems, 1<<20)
	orDefault(&l.Hello, 2*time.Second)
	orDefault(&l.Idle, 5*time.Minute)
	orDefault(&l.Frame, 10*time.Second)
	orDefault(&l.Write, 30*time.Second)
	orDefault(&l.Commit, 10*time.Second)
	orDefault(&l.Visibility, 5*time.Second)
	orDefault(&l.Close, 10*time.Second)
	return l
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// maxEntriesInFlight stays well below what a Raft group takes by default.
const maxEntriesInFlight = 64

// validate judges the limits with their defaults filled in.
func (l Limits) validate() error {
	l = l.withDefaults()
	for _, n := range []int64{int64(l.Connections), int64(l.ConnectionsPerAddress), int64(l.PendingHellos), int64(l.InFlight), int64(l.InFlightBytes),
		l.RequestMemoryBytes, l.UnreadMemoryBytes, int64(l.OutputPassBytes), int64(l.OutputBytes), int64(l.Exports), int64(l.AllExports),
		int64(l.QueueCommands), int64(l.EntriesInFlight), int64(l.WaitingWrites), int64(l.OutboxItems),
		int64(l.Hello), int64(l.Idle), int64(l.Frame), int64(l.Write), int64(l.Commit), int64(l.Visibility), int64(l.Close)} {
		if n < 0 {
			return fmt.Errorf("%w: a limit is negative", ErrOptions)
		}
	}
	if l.FrameBytes < wire.MinMaxFrameBytes || l.FrameBytes > wire.MaxBodyBytes {
		return fmt.Errorf("%w: FrameBytes is %d, it must be from %d to %d", ErrOptions, l.FrameBytes, wire.MinMaxFrameBytes, wire.MaxBodyBytes)
	}
	if l.QueueBytes < raftfsm.MaxEntryBytes {
		return fmt.Errorf("%w: QueueBytes is %d, it must be at least %d", ErrOptions, l.QueueBytes, raftfsm.MaxEntryBytes)
	}
	if l.EntriesInFlight > maxEntriesInFlight {
		return fmt.Errorf("%w: EntriesInFlight is %d, it must be at most %d", ErrOptions, l.EntriesInFlight, maxEntriesInFlight)
	}
	if l.ReadBufferBytes < smallBufferBytes {
		return fmt.Errorf("%w: ReadBufferBytes is %d, it must be at least %d", ErrOptions, l.ReadBufferBytes, smallBufferBytes)
	}
	return nil
}

// isLocal tells whether only processes of this machine can reach the address.
func isLocal(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// EqualSecrets compares what a client sent with a secret, in a time that tells
// nothing of the secret but its length.
func EqualSecrets(sent, secret []byte) bool {
	return len(secret) > 0 && subtle.ConstantTimeCompare(sent, secret) == 1
}

// ErrWrongToken is returned by the function that Token makes.
var ErrWrongToken = errors.New("wrong token")

// Token returns an Authenticate function that lets those in who send the secret.
func Token(secret []byte) func(credentials []byte) error {
	return func(credentials []byte) error {
		if !EqualSecrets(credentials, secret) {
			return ErrWrongToken
		}
		return nil
	}
}
