package raftfsm

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gaugedFS is a disk of memory whose free space a test sets.
type gaugedFS struct {
	vfs.FS
	full  atomic.Bool // no table can be made
	free  atomic.Uint64
	fails atomic.Pointer[error]
}

func (fs *gaugedFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if err := fs.fails.Load(); err != nil {
		return vfs.DiskUsage{}, *err
	}
	return vfs.DiskUsage{AvailBytes: fs.free.Load()}, nil
}

func (fs *gaugedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if fs.full.Load() && strings.HasSuffix(name, ".sst") {
		return nil, &os.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	return fs.FS.Create(name, category)
}

func (fs *gaugedFS) hasBallast(dir string) bool {
	_, err := fs.Stat(fs.PathJoin(dir, BallastFile))
	return err == nil
}

// gaugedOptions want 800 bytes free, 900 to go on after less, and 150 more for the ballast.
func gaugedOptions(t *testing.T, log *bytes.Buffer) (Options, *gaugedFS) {
	fs := &gaugedFS{FS: vfs.NewMem()}
	o := testOptions(t, fs, 1)
	o.MinFreeBytes, o.BallastBytes, o.DiskCheckInterval = 800, 150, time.Hour
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if err := fs.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return o.withDefaults(), fs
}

func TestWritesAreRefusedBetweenTwoMarks(t *testing.T) {
	var log bytes.Buffer
	o, fs := gaugedOptions(t, &log)
	d := newDiskWatch(&o)
	for i, step := range []struct {
		free            uint64
		refuse, ballast bool
	}{
		{800, false, false}, {1049, false, false}, {1050, false, true}, {799, true, true}, {0, true, true},
		{899, true, true}, {900, false, true}, {800, false, true}, {799, true, true}, {5000, false, true},
	} {
		fs.free.Store(step.free)
		if !d.check() {
			t.Fatal("it stopped watching")
		}
		s := d.status.Load()
		if s.FreeBytes != step.free || s.MinFreeBytes != 800 || (s.Refusal != "") != step.refuse || fs.hasBallast("data") != step.ballast {
			t.Errorf("step %d: %+v, ballast %v; expected %+v", i, s, fs.hasBallast("data"), step)
		}
	}
	for text, want := range map[string]int{"level=WARN": 2, "level=INFO": 2, "refusing writes": 2, "taking writes": 2} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is logged %d times, not %d:\n%s", text, got, want, &log)
		}
	}
	fs.free.Store(7)
	d.check()
	if want := "the disk is nearly full: 7 bytes are free, writes need 800"; d.status.Load().Refusal != want {
		t.Errorf("%q", d.status.Load().Refusal)
	}
}

func TestDiskThatCannotTell(t *testing.T) {
	var log bytes.Buffer
	o, fs := gaugedOptions(t, &log)
	fs.fails.Store(&vfs.ErrUnsupported)
	if d := newDiskWatch(&o); d.check() || d.status.Load() != nil {
		t.Errorf("%+v", d.status.Load())
	}
	if log.Len() > 0 || fs.hasBallast("data") {
		t.Errorf("ballast %v, log %s", fs.hasBallast("data"), &log)
	}
	failure := errors.New("no answer")
	fs.fails.Store(nil)
	d := newDiskWatch(&o)
	d.check() // nothing is free
	fs.fails.Store(&failure)
	for range 3 {
		if !d.check() || d.status.Load().Refusal == "" {
			t.Errorf("after a failed look: %+v", d.status.Load())
		}
	}
	if strings.Count(log.String(), "no answer") != 1 {
		t.Errorf("log:\n%s", &log)
	}
	fs.fails.Store(nil)
	fs.free.Store(900)
	if !d.check() || d.status.Load().Refusal != "" {
		t.Errorf("after the next good look: %+v", d.status.Load())
	}
}

func TestNegativeSizesSwitchOff(t *testing.T) {
	var log bytes.Buffer
	o, fs := gaugedOptions(t, &log)
	o.MinFreeBytes, o.BallastBytes = -1, -1
	d := newDiskWatch(&o)
	for _, free := range []uint64{0, 1 << 50} {
		fs.free.Store(free)
		if !d.check() || *d.status.Load() != (DiskStatus{FreeBytes: free}) {
			t.Errorf("%+v", d.status.Load())
		}
	}
	if log.Len() > 0 || fs.hasBallast("data") {
		t.Errorf("ballast %v, log %s", fs.hasBallast("data"), &log)
	}
}

func TestBallastIsMadeAgainAndFailsOnce(t *testing.T) {
	var log bytes.Buffer
	o, fs := gaugedOptions(t, &log)
	fs.free.Store(5000)
	d := newDiskWatch(&o)
	for range 2 {
		d.check()
		f, err := fs.Stat(fs.PathJoin("data", BallastFile))
		if err != nil || f.Size() != 150 {
			t.Fatalf("%v %v", f, err)
		}
		if err := fs.Remove(fs.PathJoin("data", BallastFile)); err != nil {
			t.Fatal(err)
		}
	}
	o.Dir = "nowhere"
	for range 3 {
		d.check()
	}
	if strings.Count(log.String(), "there is no ballast") != 1 {
		t.Errorf("log:\n%s", &log)
	}
}

// TestHostStartsBelowTheMark also shows that what was not asked about free space goes on.
func TestHostStartsBelowTheMark(t *testing.T) {
	var log bytes.Buffer
	o, fs := gaugedOptions(t, &log)
	o.Logger, o.DiskCheckInterval = nil, time.Millisecond
	h := openHost(t, o)
	if s := h.Disk(); s == nil || s.Refusal == "" {
		t.Errorf("%+v", s)
	}
	h.waitLeaders(t)
	mustApply(t, h.Group(0), entryOf(&Command{Kind: CommandRegister, UserIDs: homeIDs(o.Layout, 0, 2)}))
	if err := h.Group(0).Snapshot(); err != nil {
		t.Error(err)
	}
	fs.free.Store(1 << 40)
	limit := time.After(waitTime)
	for look := time.NewTicker(time.Millisecond); h.Disk().Refusal != "" || !fs.hasBallast("data"); {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("still %+v", h.Disk())
		}
	}
	closeHost(t, h)
}

// TestFullDiskStopsTheHost lets a flush fail, which Pebble would try for ever.
func TestFullDiskStopsTheHost(t *testing.T) {
	inChild(t, func(t *testing.T) {
		var log bytes.Buffer
		o, fs := gaugedOptions(t, &log)
		fatal := make(chan error, 1)
		o.Logger, o.Fatal = nil, func(err error) { fatal <- err }
		o.MinFreeBytes = -1
		h := openHost(t, o)
		h.waitLeaders(t)
		fs.full.Store(true)
		ids := homeIDs(o.Layout, 0, 5000)
		limit := time.After(waitTime)
		for {
			h.Group(0).Apply(entryOf(&Command{Kind: CommandRegister, UserIDs: ids})) // its outcome does not matter
			select {
			case err := <-fatal:
				if !vfs.IsNoSpaceError(err) || !strings.Contains(err.Error(), "the disk is full") {
					t.Errorf("stopped by %v", err)
				}
				if err := h.Close(); !errors.Is(err, ErrStopped) {
					t.Errorf("close: %v", err)
				}
				return
			case <-limit:
				t.Fatal("it goes on")
			default:
			}
		}
	})
}
