//go:build unix

package server

import (
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// restrictToOwner takes everybody else's rights off a file, where it is one of
// the operating system.
func restrictToOwner(f vfs.File) error {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return nil
	}
	return syscall.Fchmod(int(fd), uint32(ownerOnly))
}
