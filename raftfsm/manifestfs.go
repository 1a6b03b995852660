package raftfsm

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// manifestFS syncs the folder whenever Pebble creates a MANIFEST. Pebble itself
// syncs it only after it has created the marker file that points to the MANIFEST:
// on a file system that does not keep the order of new names, a power loss between
// the two can leave a marker that points to nothing, and a store that cannot be opened.
type manifestFS struct{ vfs.FS }

// Create implements vfs.FS.
func (fs manifestFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(fs.PathBase(name), "MANIFEST-") {
		return f, err
	}
	if err := syncDir(fs.FS, fs.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Unwrap implements vfs.FS.
func (fs manifestFS) Unwrap() vfs.FS { return fs.FS }
