package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
	"golang.org/x/sync/errgroup"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// Host runs the groups of all shards of a node over two shared stores.
type Host struct {
	o     Options
	b     *breaker
	guard *highWater
	disk  *diskWatch
	logs  *pebble.DB
	state *pebble.DB

	groups   []*Group
	managing context.CancelFunc // ends the goroutines of managers
	managers sync.WaitGroup     // and of the disk watch

	closing sync.Once
	closed  error
}

// Open opens the data folder, or creates it, loads all shards and starts their
// groups. It does not wait for leaders: OnLeader tells. Errors wrap ErrLogBehind,
// ErrLogGap, ErrCorrupt, ErrTruncated, ErrUnknownVersion, ErrOptions or those of engine.
func Open(o Options) (*Host, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	h := &Host{o: o.withDefaults()}
	h.b = newBreaker(h.o.Logger)
	h.disk = newDiskWatch(&h.o)
	// A fatal error of Pebble parks the goroutine that it happens on, so that one
	// must not be the caller's.
	opened := make(chan error, 1)
	go func() {
		defer close(opened)
		opened <- h.open()
	}()
	select {
	case err := <-opened:
		if err == nil {
			err = h.b.arm(h.o.Fatal)
		}
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		return h, nil
	case <-h.b.opened:
		h.b.release()
		go func() { // what is still being opened must come to its end before it can be closed
			<-opened
			if err := h.Close(); err != nil {
				h.o.Logger.Debug("closed after a failed open", "error", err)
			}
		}()
		return nil, fmt.Errorf("open %s: %w", h.o.Dir, h.b.err())
	}
}

func (h *Host) open() error {
	if err := h.openStores(); err != nil {
		return fmt.Errorf("open %s: %w", h.o.Dir, err)
	}
	h.disk.check()
	h.groups = make([]*Group, h.o.Layout.Shards())
	var loading errgroup.Group
	loading.SetLimit(runtime.GOMAXPROCS(0))
	for s := range h.groups {
		loading.Go(func() (err error) {
			h.groups[s], err = h.openGroup(shard.ID(s))
			return err
		})
	}
	if err := errors.Join(loading.Wait(), h.b.err()); err != nil {
		return fmt.Errorf("open %s: %w", h.o.Dir, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.managing = cancel
	h.managers.Go(func() { h.disk.run(ctx) })
	for _, g := range h.groups {
		if err := g.start(); err != nil {
			return fmt.Errorf("open %s: %w", h.o.Dir, err)
		}
		h.managers.Go(func() { g.manage(ctx) })
	}
	return nil
}

// openStores opens the side file before the stores: a store without one is a damaged folder.
func (h *Host) openStores() error {
	fs, dir := h.o.FS, h.o.Dir
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return err
	}
	logDir, stateDir := fs.PathJoin(dir, "log"), fs.PathJoin(dir, "state")
	_, noLog := fs.Stat(logDir)
	_, noState := fs.Stat(stateDir)
	var err error
	if h.guard, err = openOrCreateHighWater(fs, dir, noLog == nil || noState == nil); err != nil {
		return err
	}
	var opening errgroup.Group
	opening.Go(func() (err error) {
		h.logs, err = openPebble(logDir, func() *pebble.Options { return pebbleOptions(fs, h.b, h.o.LogMemTableBytes) })
		return err
	})
	opening.Go(func() (err error) {
		h.state, err = openPebble(stateDir, func() *pebble.Options { return pebbleOptions(fs, h.b, h.o.StateMemTableBytes) })
		return err
	})
	return errors.Join(opening.Wait(), h.b.err(), syncDir(fs, dir))
}

// openGroup opens a shard's stores, makes sure that they agree with each other
// and with the high-water mark, and loads its graph.
func (h *Host) openGroup(s shard.ID) (*Group, error) {
	log, err := openLogStore(h.logs, uint32(s), h.guard, h.b, &h.o)
	if err != nil {
		return nil, err
	}
	state, err := openStateStore(h.state, uint32(s), log, h.b)
	if err != nil {
		return nil, err
	}
	if err := h.checkMark(s, log, state.meta()); err != nil {
		return nil, err
	}
	var snapshotIndex uint64
	if m := state.meta(); m != nil {
		snapshotIndex = m.index
		// A crash may have come between the installation of a snapshot and this step of it.
		if _, err := log.adoptSnapshot(m.index, m.term); err != nil {
			return nil, err
		}
	}
	if err := log.verify(snapshotIndex); err != nil {
		return nil, err
	}
	// What a crash kept from being marked may be counted by a leader from now on.
	if reach := log.reach(); reach > h.guard.get(uint32(s)).index {
		if err := log.raise(reach); err != nil {
			return nil, err
		}
	}
	f, err := openFSM(engine.Options{Layout: h.o.Layout, Shard: s}, state, h.b)
	if err != nil {
		return nil, err
	}
	return newGroup(s, &h.o, h.b, log, state, f), nil
}

// checkMark compares a reopened log with what was durable before. A term or a
// vote that was lost is stored again. Lost entries come back from peers; without
// another voter there is nobody who has them, and the node must not start.
func (h *Host) checkMark(s shard.ID, log *logStore, meta *stateMeta) error {
	promised, reach := h.guard.get(uint32(s)), log.reach()
	if reach < promised.index {
		sole, err := h.soleVoter(s, log, meta)
		if err != nil {
			return err
		}
		if sole {
			return fmt.Errorf("%w: shard %d reaches index %d, but index %d was durable before: the disk lost synced writes, "+
				"and no other node votes on this shard; the node was not started; restore %s from a backup",
				ErrLogBehind, s, reach, promised.index, h.o.Dir)
		}
		h.o.Logger.Warn("the disk lost synced writes; no votes until the leader has filled up the log",
			"shard", s, "index", reach, "promised", promised.index)
		log.behind.Store(true)
	}
	return log.restoreStable(promised)
}

// soleVoter says whether, by what is stored, this node is the only voter of a
// shard: then it would lead without asking anybody.
func (h *Host) soleVoter(s shard.ID, log *logStore, meta *stateMeta) (bool, error) {
	if h.o.alone() {
		return true, nil
	}
	servers := h.o.Servers(s)
	after := uint64(0)
	if meta != nil {
		servers, after = meta.configuration.Servers, meta.index
	}
	stored, err := log.configuration(after)
	if err != nil {
		return false, err
	}
	if stored != nil {
		servers = stored.Servers
	}
	others, self := 0, false
	for _, server := range servers {
		switch {
		case server.Suffrage != raft.Voter:
		case server.ID == raft.ServerID(h.o.NodeID):
			self = true
		default:
			others++
		}
	}
	return self && others == 0, nil
}

// Group returns the group of a shard of the layout.
func (h *Host) Group(s shard.ID) *Group { return h.groups[s] }

// Disk returns how much room the disk had when it was last looked at, or nil if
// the file system cannot tell. Nobody may change what it returns.
func (h *Host) Disk() *DiskStatus { return h.disk.status.Load() }

// Close lets every entry that was handed over come to its end, snapshots what
// has none, stops the groups and closes the stores. After a fatal error it
// returns its cause and leaves the stores as a power loss would. It may be called again.
func (h *Host) Close() error {
	h.closing.Do(func() { h.closed = h.close() })
	return h.closed
}

func (h *Host) close() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), h.o.CloseTimeout, errCloseTimeout)
	defer cancel()
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	stopWatching := make(chan struct{})
	defer close(stopWatching)
	go func() {
		select {
		case <-h.b.opened:
			abandon(h.b.err())
		case <-stopWatching:
		}
	}()
	failed := h.closeGroups(ctx)
	if errors.Is(failed, errCloseTimeout) {
		h.b.trip(failed) // whoever still waits for an entry is told
	}
	if err := h.b.err(); err != nil {
		h.b.release()
		return errors.Join(failed, err)
	}
	return errors.Join(failed, h.closeStores())
}

func (h *Host) closeGroups(ctx context.Context) error {
	if h.managing != nil {
		h.managing()
		if err := awaitCall(ctx, func() error { h.managers.Wait(); return nil }); err != nil {
			return err
		}
	}
	var closing errgroup.Group
	for _, g := range h.groups {
		if g != nil {
			closing.Go(func() error { return g.close(ctx) })
		}
	}
	return closing.Wait()
}

func (h *Host) closeStores() error {
	var errs []error
	for _, db := range []*pebble.DB{h.logs, h.state} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if h.guard != nil {
		errs = append(errs, h.guard.close())
	}
	return errors.Join(errs...)
}
