package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
	"github.com/kithgraph/kith/wire"
)

// TestNodeTakesChangesFromPeers starts a whole node and brings it, as another
// node's courier would, a follow of a user who lives there.
func TestNodeTakesChangesFromPeers(t *testing.T) {
	before := goleak.IgnoreCurrent()
	o := realOptions(t, vfs.NewMem())
	o.Rand = rand.Reader
	var err error
	if o.PeerListener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b := &connBench{Server: s, tb: t, net: func() (net.Conn, error) { return net.Dial("tcp", s.Addr().String()) }}
	b.connect().ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")}, &wire.EdgeReply{})

	r := nodePeers(t, s)
	home := s.layout.Home([]byte("bob"))
	from := (home + 1) % shard.ID(s.layout.Shards())
	message := peerDeliver{From: from, To: home, First: 1}
	var mark uint64
	s.graphOf(home, func(g *engine.Graph) {
		mark = g.InboxMark(from)
		message.Items = []engine.Item{{Source: s.layout.UID(7, from), Target: g.Lookup([]byte("bob")), Time: 1_700_000_000}}
	})
	message.First = mark + 1
	for range 2 { // the second time it is known already
		if got := <-deliver(r, home, message.append(nil)); got != (outcome{mark + 1, nil}) {
			t.Errorf("%+v", got)
		}
	}
	s.graphOf(home, func(g *engine.Graph) {
		if n := g.Counts(g.Lookup([]byte("bob"))).Followers; n != 2 {
			t.Errorf("bob has %d followers", n)
		}
	})
	if got := <-deliver(r, from, message.append(nil)); !errors.Is(got.err, errPeerMessageCorrupt) {
		t.Errorf("a misdirected message: %+v", got)
	}
	b.stop() // with the peer connected
	if got := <-deliver(r, home, message.append(nil)); got.err == nil {
		t.Errorf("a stopped node answers %+v", got)
	}
	r.close()
	goleak.VerifyNone(t, before)
}

// nodePeers is another node of the server's cluster.
func nodePeers(t *testing.T, s *Server) *remotePeers {
	t.Helper()
	other := s.identity
	other.NodeID = "node-other"
	at := peerAddress{NodeID: s.identity.NodeID, Address: s.options.PeerListener.Addr().String()}
	return newRemotePeers(remotePeersOptions{
		leader: func(shard.ID) (peerAddress, bool, error) { return at, false, nil },
		dial: func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		identity: testPortIdentity(t, other), limits: PeerLimits{}.withDefaults(), now: time.Now, random: rand.Reader,
		logger: slog.New(slog.DiscardHandler),
	})
}

// outsideListener claims an address that other machines reach.
type outsideListener struct{ net.Listener }

func (outsideListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7401} }

func TestPeerOptionsAreJudged(t *testing.T) {
	for name, change := range map[string]func(o *Options){
		"reachable":       func(o *Options) { o.PeerListener = outsideListener{o.PeerListener} },
		"small frames":    func(o *Options) { o.PeerLimits.FrameBytes = 1000 },
		"huge frames":     func(o *Options) { o.PeerLimits.FrameBytes = 1 << 30 },
		"negative":        func(o *Options) { o.PeerLimits.Queue = -1 },
		"pings too rare":  func(o *Options) { o.PeerLimits.KeepAlive = time.Minute },
		"folder not ours": func(o *Options) { writeTestFile(t, o.FS, "x", nil) },
	} {
		o := realOptions(t, vfs.NewMem())
		var err error
		if o.PeerListener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		inner := o.PeerListener
		change(&o)
		if _, err := Start(t.Context(), o); !errors.Is(err, ErrOptions) && !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := inner.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener was left open: %v", name, err)
		}
	}
}
