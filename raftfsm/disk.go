package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BallastFile is the ballast's name in the data folder: a file without meaning
// that the operator of a full disk may delete, so that the node can start.
//
// Free space is only looked at now and then, and other programs fill disks too,
// so a disk can be full after all. The node then stops, and cannot start before
// both Pebbles have room to write out what their logs hold. In the data folder
// nothing else may be deleted, and a volume of its own has nothing outside of it.
// The node never deletes the ballast itself: one that is started again and again
// would eat it up unseen. The ballast takes room where preallocation does, which
// is on Linux; elsewhere it may be an empty promise.
const BallastFile = "BALLAST"

// DiskStatus is how much room the file system of the data folder has.
type DiskStatus struct {
	// FreeBytes can be used by this process.
	FreeBytes uint64
	// MinFreeBytes is below what clients' writes should be refused; 0 is never.
	MinFreeBytes uint64
	// Refusal is empty, or says why clients' writes should be refused now.
	Refusal string
}

// diskWatch looks at the free space of the data folder, so that clients' writes
// are refused while there is room left for what must go on: deliveries and trims of
// what was accepted, snapshots, and the flushes and compactions of both Pebbles,
// which on a full disk end the node or are tried again for ever.
type diskWatch struct {
	o         *Options
	minFree   uint64                     // 0 is never
	status    atomic.Pointer[DiskStatus] // immutable; nil while unknown
	blind     bool                       // the last look failed; of check
	noBallast bool                       // it could not be made; of check
}

func newDiskWatch(o *Options) *diskWatch {
	return &diskWatch{o: o, minFree: uint64(max(o.MinFreeBytes, 0)), noBallast: o.BallastBytes < 0}
}

// resumeBytes are what must be free before writes are taken again: an eighth more
// than below what they are refused, so that the two do not alternate.
func (d *diskWatch) resumeBytes() uint64 { return d.minFree + d.minFree/8 }

// run looks until the context ends, if the file system can tell.
func (d *diskWatch) run(ctx context.Context) {
	ticker := time.NewTicker(d.o.DiskCheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !d.check() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// check looks once, and returns false for a file system that can never tell. Open
// calls it before run does, nobody else.
func (d *diskWatch) check() bool {
	usage, err := d.o.FS.GetDiskUsage(d.o.Dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return false
	}
	if err != nil {
		if !d.blind {
			d.o.Logger.Warn("cannot tell how much disk is free; writes stay as they are", "dir", d.o.Dir, "error", err)
		}
		d.blind = true
		return true
	}
	d.blind = false
	d.judge(usage.AvailBytes)
	if d.status.Load().Refusal == "" {
		d.keepBallast(usage.AvailBytes)
	}
	return true
}

// judge publishes the status and logs a change between taking and refusing writes.
func (d *diskWatch) judge(free uint64) {
	refused, needed := false, d.minFree
	if before := d.status.Load(); before != nil && before.Refusal != "" {
		refused, needed = true, d.resumeBytes()
	}
	now := &DiskStatus{FreeBytes: free, MinFreeBytes: d.minFree}
	if free < needed {
		now.Refusal = fmt.Sprintf("the disk is nearly full: %d bytes are free, writes need %d", free, needed)
	}
	switch {
	case now.Refusal != "" && !refused:
		d.o.Logger.Warn("the disk is nearly full: refusing writes until there is room",
			"dir", d.o.Dir, "free_bytes", free, "min_free_bytes", d.minFree, "resume_bytes", d.resumeBytes())
	case now.Refusal == "" && refused:
		d.o.Logger.Info("the disk has room again: taking writes", "dir", d.o.Dir, "free_bytes", free, "min_free_bytes", d.minFree)
	}
	d.status.Store(now) // after the log, so that whoever is refused can read there why
}

// keepBallast makes the ballast if it is missing and its room is not needed for writes.
func (d *diskWatch) keepBallast(free uint64) {
	if d.noBallast || free < d.resumeBytes()+uint64(d.o.BallastBytes) {
		return
	}
	_, err := d.o.FS.Stat(d.o.FS.PathJoin(d.o.Dir, BallastFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = d.makeBallast()
	}
	if err != nil {
		d.noBallast = true
		d.o.Logger.Warn("there is no ballast file to delete if the disk is full one day", "dir", d.o.Dir, "error", err)
	}
}

// makeBallast makes it under another name first, so that what has its name has its size.
func (d *diskWatch) makeBallast() (err error) {
	disk, name := d.o.FS, d.o.FS.PathJoin(d.o.Dir, BallastFile)
	unfinished := name + ".new"
	f, err := disk.OpenReadWrite(unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	err = f.Preallocate(0, d.o.BallastBytes)
	if err == nil { // preallocation does not change the size that a listing shows
		_, err = f.WriteAt([]byte{0}, d.o.BallastBytes-1)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, disk.Remove(unfinished))
	}
	if err := disk.Rename(unfinished, name); err != nil {
		return err
	}
	return syncDir(disk, d.o.Dir)
}
