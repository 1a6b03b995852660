package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/kithgraph/kith/internal/console"
)

// destination is where an export goes. A regular file is written beside its final
// place and moved there at the end, so that nobody ever finds half of it.
type destination struct {
	io.Writer
	interrupt func()       // fails a write that waits, and all after it
	drain     func() error // of standard output, otherwise nil
	packer    io.Closer    // nil when the file is not compressed
	file      *os.File     // nil for standard output
	moveTo    string       // empty when the file is written in place
}

func createDestination(e *env, name string) (*destination, error) {
	if name == standardStream {
		pipe, drain := outputPipe(e.stdout)
		return &destination{Writer: pipe, interrupt: func() { _ = pipe.Close() }, drain: drain}, nil
	}
	place, inPlace, err := resolve(name)
	if err != nil {
		return nil, err
	}
	d := &destination{}
	if inPlace {
		d.file, err = os.OpenFile(place, os.O_WRONLY, 0)
	} else {
		d.moveTo = place
		d.file, err = os.OpenFile(fmt.Sprintf("%s.%d.part", place, os.Getpid()), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	}
	if err != nil {
		return nil, console.Usagef("%v; name a file that can be written, or - for standard output", err)
	}
	d.Writer, d.interrupt = d.file, func() { interruptFile(d.file) }
	switch {
	case strings.HasSuffix(name, ".gz"):
		packer := gzip.NewWriter(d.file)
		d.Writer, d.packer = packer, packer
	case strings.HasSuffix(name, ".zst"):
		packer, err := zstd.NewWriter(d.file, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, d.finish(err)
		}
		d.Writer, d.packer = packer, packer
	}
	return d, nil
}

// resolve follows links to the file that will be replaced. What is no regular
// file, such as /dev/null, is written in place.
func resolve(name string) (place string, inPlace bool, err error) {
	place, err = filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		return name, false, nil
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(place)
	}
	switch {
	case err != nil:
		return "", false, console.Usagef("%v", err)
	case info.IsDir():
		return "", false, console.Usagef("%s is a folder; name a file, or - for standard output", name)
	}
	return place, !info.Mode().IsRegular(), nil
}

// finish moves the file to its place when err is nil, and removes it otherwise.
// It returns the first error. Once interrupted it waits for nobody.
func (d *destination) finish(err error) error {
	if errors.Is(err, errInterrupted) && d.file == nil {
		return err
	}
	if d.file == nil {
		drained := d.drain()
		if err == nil {
			err = drained
		}
		return err
	}
	steps := []func() error{d.file.Close}
	if d.moveTo != "" {
		steps = []func() error{d.file.Sync, d.file.Close}
	}
	if d.packer != nil {
		steps = append([]func() error{d.packer.Close}, steps...)
	}
	for _, step := range steps { // all of them: each frees something
		if failed := step(); err == nil {
			err = failed
		}
	}
	if d.moveTo == "" {
		return err
	}
	if err == nil {
		err = os.Rename(d.file.Name(), d.moveTo)
	}
	if err != nil {
		return errors.Join(err, os.Remove(d.file.Name()))
	}
	return syncFolder(filepath.Dir(d.moveTo))
}

// syncFolder makes a rename durable, where folders can be synced.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = folder.Sync() // not every file system can
	return folder.Close()
}
