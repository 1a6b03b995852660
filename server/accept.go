package server

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kithgraph/kith/wire"
)

const (
	// After an error of Accept (too many open files, mostly) the loop pauses, twice
	// as long after each further one.
	firstAcceptPause = 5 * time.Millisecond
	maxAcceptPause   = time.Second
	// maxRefusals bounds the connections that are being told why they are refused.
	// Beyond it they are closed without a word.
	maxRefusals = 64
)

// clients are the open connections.
type clients struct {
	running sync.WaitGroup // a goroutine each, and each refusal
	mu      sync.Mutex
	open    map[*conn]struct{}
	hellos  []*conn              // of them, without a finished hello, oldest first
	hosts   map[netip.Prefix]int // how many of them each counted host has
	refused int                  // being told so
}

// all returns the open connections.
func (cs *clients) all() []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Keys(cs.open))
}

func (cs *clients) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// add takes a connection in, or says why not. When too many have not finished
// their hello the oldest of them has to go, so that silent strangers cannot keep
// others out.
func (cs *clients) add(c *conn, l *Limits) (crowded *conn, err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case len(cs.open) >= l.Connections:
		return nil, errTooMany
	case c.host.IsValid() && cs.hosts[c.host] >= l.ConnectionsPerAddress:
		return nil, errTooManyOfHost
	case len(cs.hellos) >= l.PendingHellos:
		crowded = cs.hellos[0]
		cs.hellos = slices.Delete(cs.hellos, 0, 1)
	}
	cs.open[c] = struct{}{}
	cs.hellos = append(cs.hellos, c)
	if c.host.IsValid() {
		cs.hosts[c.host]++
	}
	return crowded, nil
}

// helloEnded frees the place of a connection among those that wait for a hello.
func (cs *clients) helloEnded(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if i := slices.Index(cs.hellos, c); i >= 0 {
		cs.hellos = slices.Delete(cs.hellos, i, i+1)
	}
}

func (cs *clients) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
	if !c.host.IsValid() {
		return
	}
	if cs.hosts[c.host]--; cs.hosts[c.host] == 0 {
		delete(cs.hosts, c.host)
	}
}

// hostOf returns what connections are counted by: the address, of an IPv6 address
// the first 64 bits, since a host can have all below them. What comes over
// loopback or a Unix socket has none.
func hostOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	host, err := ip.Prefix(min(ip.BitLen(), 64))
	if err != nil {
		return netip.Prefix{} // not an address: nothing to count by
	}
	return host
}

// startRefusal tells whether another connection may be told that it is refused.
func (cs *clients) startRefusal() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.refused >= maxRefusals {
		return false
	}
	cs.refused++
	return true
}

func (cs *clients) endRefusal() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.refused--
}

// acceptLoop takes connections until the listener is closed.
func (s *Server) acceptLoop() {
	if err := acceptAll(s.options.Listener, s.stopping, s.log, s.admit); err != nil {
		s.fail(err)
	}
}

// acceptAll takes connections until the listener is closed. That is an error
// unless stopping is closed before.
func acceptAll(l net.Listener, stopping <-chan struct{}, log *slog.Logger, take func(net.Conn)) error {
	pause := firstAcceptPause
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = firstAcceptPause
			take(nc)
			continue
		}
		select {
		case <-stopping:
			return nil
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return errListenerEnd
		}
		log.Warn("could not accept a connection", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-stopping:
			timer.Stop()
			return nil
		}
		pause = min(2*pause, maxAcceptPause)
	}
}

// admit starts to serve a connection, or refuses it.
func (s *Server) admit(nc net.Conn) {
	if s.options.TLSConfig != nil {
		nc = tls.Server(nc, s.options.TLSConfig)
	}
	c := newConn(s, nc)
	crowded, err := s.clients.add(c, &s.options.Limits)
	if err != nil {
		s.refuse(nc, err)
		return
	}
	if crowded != nil {
		crowded.out.kill(errCrowded)
	}
	s.clients.running.Go(func() {
		reason := c.serve()
		s.clients.remove(c)
		if !errors.Is(reason, io.EOF) {
			s.log.Debug("connection closed", "client", nc.RemoteAddr(), "reason", reason)
		}
	})
}

// refuse tells a client that there is no place for it, without holding up others.
// Under TLS that would take a handshake, which strangers are not worth then.
func (s *Server) refuse(nc net.Conn, reason error) {
	if s.options.TLSConfig != nil || !s.clients.startRefusal() {
		nc.Close()
		return
	}
	s.clients.running.Go(func() {
		defer s.clients.endRefusal()
		defer nc.Close()
		now := s.options.Now()
		if nc.SetDeadline(now.Add(lingerTime)) != nil {
			return
		}
		if _, err := nc.Write(appendError([]byte(wire.Magic), wire.ConnectionID, wire.Unavailable, reason.Error())); err == nil {
			linger(nc, now)
		}
	})
}
