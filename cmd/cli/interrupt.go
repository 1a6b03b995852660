package main

import (
	"errors"
	"io"
	"os"
	"time"
)

// errInterrupted ends an import or export that got a signal.
var errInterrupted = errors.New("interrupted")

// A read of standard input, or a write to standard output, that waits for the other
// end of a pipe cannot be broken off. A goroutine makes it in place of the command,
// which after a signal goes on without; if it still waits then, it ends with the process.

// inputPipe returns a reader of what is in r.
func inputPipe(r io.Reader) *io.PipeReader {
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, r)
		_ = out.CloseWithError(err) // always nil
	}()
	return in
}

// outputPipe returns a writer to w. drain ends it, and waits until w has everything.
func outputPipe(w io.Writer) (out *io.PipeWriter, drain func() error) {
	in, out := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, in)
		_ = in.CloseWithError(err) // always nil
		copied <- err
	}()
	return out, func() error {
		_ = out.Close() // always nil
		return <-copied
	}
}

// interruptFile breaks off what waits for the other end of a named pipe. Other files
// make nobody wait for long, and have no deadlines.
func interruptFile(f *os.File) { _ = f.SetDeadline(time.Unix(1, 0)) }
