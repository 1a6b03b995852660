package edgelist

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindowBytes bounds what a Zstandard frame may ask a reader to hold; it is
	// the window of `zstd --long`.
	maxWindowBytes = 128 << 20
	// rawBufferBytes is how much is taken from the input at a time.
	rawBufferBytes = 64 << 10
)

// countingReader counts what passes.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// unpacked returns r, decompressed when its first bytes say that it is compressed.
func unpacked(r io.Reader) (io.ReadCloser, error) {
	raw := bufio.NewReaderSize(r, rawBufferBytes)
	start, err := raw.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var plain io.ReadCloser
	switch {
	case isGzip(start):
		plain, err = gzip.NewReader(raw)
	case isZstd(start):
		var dec *zstd.Decoder
		dec, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindowBytes))
		if err == nil {
			plain = dec.IOReadCloser()
		}
	default:
		return io.NopCloser(raw), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompression, err)
	}
	return compressed{plain}, nil
}

func isGzip(start []byte) bool { return bytes.HasPrefix(start, []byte{0x1f, 0x8b, 8}) }

// isZstd knows the magic number of a frame and those of the skippable frames
// with which parallel compressors begin.
func isZstd(start []byte) bool {
	if bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return true
	}
	return len(start) == 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:], []byte{0x2a, 0x4d, 0x18})
}

// compressed gives the errors of a decompressor a common name.
type compressed struct{ io.ReadCloser }

func (c compressed) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrCompression, err)
	}
	return n, err
}
