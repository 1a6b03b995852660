//go:build !unix

package server

import "github.com/cockroachdb/pebble/v2/vfs"

// restrictToOwner does nothing where there are no modes: the data folder's own
// access list must keep others out.
func restrictToOwner(vfs.File) error { return nil }
