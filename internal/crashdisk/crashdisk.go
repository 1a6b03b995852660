// Package crashdisk is a disk in memory that a test can copy as a power loss
// would leave it, at any moment and while it is in use.
//
// It is Pebble's MemFS without that one's trap: MemFS takes its read lock twice
// in Lock and in ReuseForWrite, so that a CrashClone between the two never
// ends. A Disk is safe for concurrent use.
package crashdisk

import (
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is a file system in memory.
type Disk struct {
	*vfs.MemFS
	copying sync.Mutex // held by CrashClone and by the two operations above
}

// New returns an empty disk.
func New() *Disk { return &Disk{MemFS: vfs.NewCrashableMem()} }

// CrashClone returns a disk with what a power loss now would leave.
func (d *Disk) CrashClone(cfg vfs.CrashCloneCfg) *Disk {
	d.copying.Lock()
	defer d.copying.Unlock()
	return &Disk{MemFS: d.MemFS.CrashClone(cfg)}
}

// Lock implements vfs.FS.
func (d *Disk) Lock(name string) (io.Closer, error) {
	d.copying.Lock()
	defer d.copying.Unlock()
	return d.MemFS.Lock(name)
}

// ReuseForWrite implements vfs.FS.
func (d *Disk) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.copying.Lock()
	defer d.copying.Unlock()
	return d.MemFS.ReuseForWrite(from, to, category)
}
