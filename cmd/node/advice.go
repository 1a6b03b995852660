package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/kithgraph/kith/server"
)

// advise adds to an error what the person at the terminal can do about it. It
// returns nil for nil.
func advise(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []struct {
		err  error
		todo string
	}{
		{syscall.EADDRINUSE, "another process has that address, perhaps another kithd; stop it or choose another with --listen or --peer-listen"},
		{syscall.EADDRNOTAVAIL, "this machine does not have that address; choose another with --listen or --peer-listen"},
		{syscall.EACCES, "check who owns it, or choose another with --listen or --data-dir"},
		{syscall.ENOSPC, "free some space on the disk, or delete the file BALLAST in the data folder, and start again"},
		{syscall.EROFS, "the disk cannot be written to; choose another with --data-dir"},
		{fs.ErrPermission, "check who owns it, or choose another with --data-dir"},
		{server.ErrIdentityVersion, "start the version of kithd that made it, or choose another with --data-dir"},
		{server.ErrIdentityDamaged, "restore it from a backup, or choose another with --data-dir"},
		{server.ErrShardCount, "leave --shards away, or choose another folder with --data-dir"},
	} {
		if errors.Is(err, known.err) {
			return fmt.Errorf("%w: %s", err, known.todo)
		}
	}
	return err
}
