package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/raftfsm"
	"github.com/kithgraph/kith/shard"
)

// Server is a running node. Its methods are safe for concurrent use.
type Server struct {
	options  Options
	log      *slog.Logger
	identity identity
	layout   shard.Layout
	shards   *shard.Map // which nodes hold each shard
	started  time.Time

	// The graph. groups has one for each shard.
	groups  []readGroup
	writes  edgeStarter
	cursors *cursorCodec
	// disk returns how much room there is, or nil if nobody can tell.
	disk func() *raftfsm.DiskStatus

	// What the connections share.
	memory    *budget
	unread    *unreadMemory
	inputs    bufferPool
	outputs   bufferPool
	passes    passPool
	exporters exporterPool
	exports   atomic.Int64 // running
	clients   clients
	accepting sync.WaitGroup

	// What Start opened, for Shutdown to close.
	folder *folder
	host   *raftfsm.Host
	writer leaderWriter
	peers  *peerPort     // nil when there is no peer listener
	ready  chan struct{} // one slot: a shard has become ready, or not

	// stopping is closed when Shutdown begins, stopped when it ends.
	stopping, stopped chan struct{}
	shutdown          struct {
		begun atomic.Bool
		err   error // readable when stopped is closed
	}
	failure struct {
		once sync.Once
		err  error         // readable when done is closed
		done chan struct{} // closed when the node must stop
	}
}

// leaderWriter is the writer and what it has been told of leaderships. The lock
// makes what it was told last the truth.
type leaderWriter struct {
	sync.Mutex
	w *writer // nil until all groups are open
}

// Start opens the data folder, or makes it, starts the shards, and serves
// clients when all shards are ready. ctx bounds the start only. When it fails
// nothing is left running and the listeners are closed.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := open(ctx, o)
	if err != nil {
		for _, l := range []net.Listener{o.Listener, o.PeerListener} {
			if l != nil {
				l.Close()
			}
		}
	}
	return s, err
}

func open(ctx context.Context, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	f, err := openFolder(o.FS, o.Dir, o.Shards, o.Rand)
	if err != nil {
		return nil, err
	}
	s, err := newServer(o, f.identity)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	s.folder = f
	if f.created {
		s.log.Info("made a new data folder", "dir", o.Dir, "shards", f.identity.Shards)
	}
	if err := s.openGroups(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if err := s.openPeers(); err != nil {
		return nil, errors.Join(err, s.closeStores(ctx))
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, s.closeStores(ctx))
	}
	s.serve()
	return s, nil
}

// newServer returns a server that has no shards yet and does not serve.
func newServer(o Options, id identity) (*Server, error) {
	layout, err := shard.NewLayout(id.Shards)
	if err != nil {
		return nil, err
	}
	shards := shard.LoneMap(layout, shard.Node{ID: id.NodeID})
	if err := shards.Validate(layout); err != nil {
		return nil, err
	}
	cursors, err := newCursorCodec(id)
	if err != nil {
		return nil, err
	}
	l := &o.Limits
	s := &Server{
		options: o, log: o.Logger, identity: id, layout: layout, shards: shards, started: o.Now(), cursors: cursors,
		memory:   newBudget(l.RequestMemoryBytes),
		unread:   &unreadMemory{sizeBytes: l.UnreadMemoryBytes},
		inputs:   bufferPool{sizeBytes: l.ReadBufferBytes, keepBytes: l.ReadBufferBytes},
		outputs:  bufferPool{sizeBytes: 4 << 10, keepBytes: 2 * l.OutputPassBytes},
		ready:    make(chan struct{}, 1),
		disk:     func() *raftfsm.DiskStatus { return nil }, // until the host is open
		stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.passes.server, s.exporters.server = s, s
	s.clients.open, s.clients.hosts = make(map[*conn]struct{}), make(map[netip.Prefix]int)
	s.failure.done = make(chan struct{})
	return s, nil
}

// openGroups starts the shards and their write side.
func (s *Server) openGroups() error {
	o := s.options.Raft
	o.FS, o.Dir, o.Layout, o.FollowingLimit = s.options.FS, s.options.Dir, s.layout, s.options.FollowingLimit
	o.NodeID, o.Now, o.Logger = s.identity.NodeID, s.options.Now, s.log
	o.Fatal, o.OnLeader = s.fail, s.onLeader
	host, err := raftfsm.Open(o)
	if err != nil {
		return fmt.Errorf("open the shards: %w", err)
	}
	s.host, s.disk = host, host.Disk
	writers := make([]shardGroup, s.layout.Shards())
	s.groups = make([]readGroup, s.layout.Shards())
	for i := range s.groups {
		group := host.Group(shard.ID(i))
		s.groups[i], writers[i] = group, group
	}
	s.writer.Lock() // the writer asks the groups; what they tell meanwhile comes after that
	defer s.writer.Unlock()
	s.writer.w = newWriter(writerOptions{layout: s.layout, groups: writers, now: s.options.Now, logger: s.log, limits: s.options.Limits})
	s.writes = s.writer.w
	return nil
}

// openPeers begins to accept the other nodes, whose couriers bring changes for
// the shards that are led here.
func (s *Server) openPeers() error {
	if s.options.PeerListener == nil {
		return nil
	}
	id, err := newPortIdentity(s.identity)
	if err != nil {
		return err
	}
	s.peers = startPeerPort(peerPortOptions{
		listener: s.options.PeerListener, identity: id, handler: s.writer.w, limits: s.options.PeerLimits,
		now: s.options.Now, random: s.options.Rand, logger: s.log, ended: s.fail,
	})
	return nil
}

// onLeader passes a change of leadership on. It does not block.
func (s *Server) onLeader(id shard.ID, ready bool) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.writer.w != nil {
		s.writer.w.onLeader(id, ready)
	}
	signal(s.ready)
}

// awaitReady waits until every shard takes requests.
func (s *Server) awaitReady(ctx context.Context) error {
	for !s.allReady() {
		select {
		case <-s.ready:
		case <-s.failure.done:
			return fmt.Errorf("%w: %w", ErrStopped, s.failure.err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStopped, ctx.Err())
		}
	}
	return nil
}

func (s *Server) allReady() bool {
	for _, group := range s.groups {
		if !group.Ready() {
			return false
		}
	}
	return true
}

// serve begins to accept clients.
func (s *Server) serve() { s.accepting.Go(s.acceptLoop) }

// Addr returns the address that clients reach the node at.
func (s *Server) Addr() net.Addr { return s.options.Listener.Addr() }

// Wait returns the error for which the node must stop, as soon as there is one;
// nil when ctx ends or the node is shut down before.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-s.failure.done:
		return s.failure.err
	case <-s.stopped:
	case <-ctx.Done():
	}
	return nil
}

// fail notes the first error for which the node must stop and tells the owner.
func (s *Server) fail(err error) {
	s.failure.once.Do(func() {
		s.failure.err = err
		close(s.failure.done)
		s.log.Error("the node must stop", "error", err)
		go s.options.Fatal(err)
	})
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// Shutdown takes no further connections and requests, answers the requests that
// it has read, and closes the connections and the data folder. When ctx ends
// first the remaining connections are cut and the error wraps ErrForced; what was
// acknowledged is durable in any case. Later calls wait for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.shutdown.begun.CompareAndSwap(false, true) {
		err := s.stopClients(ctx)
		s.shutdown.err = errors.Join(err, s.closeStores(ctx))
		close(s.stopped)
	}
	<-s.stopped
	return s.shutdown.err
}

// stopClients ends all connections, in order while ctx lasts.
func (s *Server) stopClients(ctx context.Context) error {
	close(s.stopping)
	err := s.options.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	s.accepting.Wait()
	for _, c := range s.clients.all() {
		c.stop()
	}
	ended := make(chan struct{})
	go func() {
		s.clients.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
	}
	for _, c := range s.clients.all() {
		c.out.kill(errStopping)
	}
	<-ended
	return errors.Join(err, fmt.Errorf("%w: %w", ErrForced, ctx.Err()))
}

// closeStores ends the write side, the shards and the hold on the data folder.
func (s *Server) closeStores(ctx context.Context) error {
	if s.folder == nil {
		return nil
	}
	s.writer.w.close(ctx)
	var err error
	if s.peers != nil {
		err = s.peers.close()
	}
	err = errors.Join(err, s.host.Close())
	s.writer.w.wait()
	return errors.Join(err, s.folder.close())
}

// graphOf returns a shard's graph for as long as fn runs, which must not wait.
func (s *Server) graphOf(id shard.ID, fn func(*engine.Graph)) {
	group := s.groups[id]
	defer group.RUnlock()
	fn(group.RLock())
}
