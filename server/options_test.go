package server

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"crypto/tls"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fixedListener is only asked for its address.
type fixedListener struct {
	net.Listener
	addr net.Addr
}

func (l fixedListener) Addr() net.Addr { return l.addr }

func goodOptions() Options {
	return Options{
		Listener: fixedListener{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}},
		FS:       vfs.NewMem(), Dir: "data", Now: time.Now, Rand: new(countingReader),
	}
}

func TestOptionsValidate(t *testing.T) {
	public := fixedListener{addr: &net.TCPAddr{IP: net.IPv4zero}}
	for _, c := range []struct {
		says   string
		change func(o *Options)
	}{
		{"Listener", func(o *Options) { o.Listener = nil }},
		{"FS", func(o *Options) { o.FS = nil }},
		{"Dir", func(o *Options) { o.Dir = "" }},
		{"Now", func(o *Options) { o.Now = nil }},
		{"Rand", func(o *Options) { o.Rand = nil }},
		{"Shards", func(o *Options) { o.Shards = 3 }},
		{"reached from other machines", func(o *Options) { o.Listener = public }},
		{"reached from other machines", func(o *Options) { o.Listener, o.TLSConfig = public, &tls.Config{} }},
		{"reached from other machines", func(o *Options) { o.Listener, o.Authenticate = public, Token([]byte("x")) }},
		{"negative", func(o *Options) { o.Limits.Idle = -1 }},
		{"FrameBytes", func(o *Options) { o.Limits.FrameBytes = 1000 }},
		{"FrameBytes", func(o *Options) { o.Limits.FrameBytes = 1 << 24 }},
		{"negative", func(o *Options) { o.Limits.WaitingWrites = -1 }},
		{"QueueBytes", func(o *Options) { o.Limits.QueueBytes = 1000 }},
		{"EntriesInFlight", func(o *Options) { o.Limits.EntriesInFlight = maxEntriesInFlight + 1 }},
		{"EntriesInFlight", func(o *Options) { o.Raft.MaxInFlight = 3 }},
		{"ReadBufferBytes", func(o *Options) { o.Limits.ReadBufferBytes = 10 }},
	} {
		o := goodOptions()
		c.change(&o)
		if err := o.Validate(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want an error about %s", err, c.says)
		}
	}
	for _, change := range []func(o *Options){
		func(o *Options) {},
		func(o *Options) { o.Listener, o.AllowInsecure = public, true },
		func(o *Options) { o.Listener, o.TLSConfig, o.Authenticate = public, &tls.Config{}, Token([]byte("x")) },
		func(o *Options) { o.Listener = fixedListener{addr: &net.UnixAddr{Name: "/run/kith"}} },
		func(o *Options) { o.Listener = fixedListener{addr: &net.TCPAddr{IP: net.IPv6loopback}} },
	} {
		o := goodOptions()
		change(&o)
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
}
