package edgelist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// DefaultMaxLineBytes is the longest line that is read unless told otherwise:
// ten times what two ids and a time can take.
const DefaultMaxLineBytes = 4096

// Options of a Reader. The zero value is fit for use.
type Options struct {
	// MaxLineBytes bounds a line and with it the reader's memory. A longer line is
	// refused with ErrLineTooLong, unless it is a comment. In bytes;
	// DefaultMaxLineBytes when 0 or less.
	MaxLineBytes int
}

// Reader reads an edge list row by row.
type Reader struct {
	raw   *countingReader
	plain io.Closer // the decompressor
	buf   *bufio.Reader
	line  uint64
	err   error // final
}

// NewReader returns a reader of the edge list in r. It reads the first bytes at
// once, to see whether they are compressed.
func NewReader(r io.Reader, opts Options) (*Reader, error) {
	if opts.MaxLineBytes <= 0 {
		opts.MaxLineBytes = DefaultMaxLineBytes
	}
	raw := &countingReader{r: r}
	plain, err := unpacked(raw)
	if err != nil {
		return nil, err
	}
	return &Reader{raw: raw, plain: plain, buf: bufio.NewReaderSize(plain, max(opts.MaxLineBytes, minBufferBytes))}, nil
}

// minBufferBytes keeps the calls of the decompressor few where lines are short.
const minBufferBytes = 16

// Next returns the next row, skipping comments. At the end the error is io.EOF.
// After a *LineError, and only then, Next may be called again.
func (r *Reader) Next() (Row, error) {
	for r.err == nil {
		line, err := r.readLine()
		var refused *LineError
		if errors.As(err, &refused) {
			return Row{}, refused
		}
		if err != nil {
			r.err = err
			break
		}
		row, err := parse(line)
		if err != nil {
			return Row{}, &LineError{Line: r.line, Text: string(line), Err: err}
		}
		if row.Follower != nil {
			row.Line = r.line
			return row, nil
		}
	}
	return Row{}, r.err
}

// SkipTo skips the lines before the given one, whatever they hold, so that Next
// goes on with that line. Skipping beyond the end is no error.
func (r *Reader) SkipTo(line uint64) error {
	for r.err == nil && r.line+1 < line {
		if _, err := r.readLine(); err != nil && !isLineError(err) {
			r.err = err
		}
	}
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// Line is the number of the line that was read last, comments included; 0 before
// the first.
func (r *Reader) Line() uint64 { return r.line }

// RawBytes is the number of bytes taken from the input so far, before
// decompression: how far a reader of a file has come. Any goroutine may call it.
func (r *Reader) RawBytes() int64 { return r.raw.n.Load() }

// Close frees the decompressor. It does not close the input.
func (r *Reader) Close() error { return r.plain.Close() }

// readLine returns the next line without its end, or a *LineError for one that
// is too long. A last line without an end counts.
func (r *Reader) readLine() ([]byte, error) {
	line, err := r.buf.ReadSlice('\n')
	if len(line) == 0 {
		return nil, err
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return r.skipLongLine(string(line))
	case err != nil && err != io.EOF:
		return nil, err // the line may be incomplete
	}
	r.line++
	line = bytes.TrimSuffix(line, []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if r.line == 1 {
		line = bytes.TrimPrefix(line, []byte(byteOrderMark))
	}
	return line, nil
}

// skipLongLine reads to the end of a line of which start was read. A comment
// may be as long as it likes.
func (r *Reader) skipLongLine(start string) ([]byte, error) {
	for {
		_, err := r.buf.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		r.line++
		if start[0] == '#' {
			return nil, nil
		}
		reason := fmt.Errorf("%w: over %d bytes", ErrLineTooLong, r.buf.Size())
		return nil, &LineError{Line: r.line, Text: start, Err: reason}
	}
}

func isLineError(err error) bool {
	var refused *LineError
	return errors.As(err, &refused)
}
