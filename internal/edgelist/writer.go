package edgelist

import (
	"bufio"
	"io"
)

// Writer writes an edge list in the exact form.
type Writer struct {
	buf  *bufio.Writer
	line []byte
	rows uint64
}

// NewWriter returns a writer to w. It buffers: call Flush at the end.
func NewWriter(w io.Writer) *Writer { return &Writer{buf: bufio.NewWriterSize(w, rawBufferBytes)} }

// Write writes one follow. Both ids must satisfy shard.CheckUserID.
func (w *Writer) Write(follower, followee []byte, time uint32) error {
	w.line = AppendRow(w.line[:0], follower, followee, time)
	w.rows++
	_, err := w.buf.Write(w.line)
	return err
}

// Rows is the number of rows written so far.
func (w *Writer) Rows() uint64 { return w.rows }

// Flush hands everything that was written to the underlying writer.
func (w *Writer) Flush() error { return w.buf.Flush() }
