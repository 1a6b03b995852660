package client

import (
	"context"
	"fmt"
	"time"

	"github.com/kithgraph/kith/wire"
)

const (
	defaultImportWindow   = 8
	maxImportWindow       = 256
	defaultImportPatience = 2 * time.Minute
	// maxBatchBytes keeps a batch within every frame size that can be agreed on.
	maxBatchBytes = wire.MinMaxFrameBytes - 1<<10
	// importRowOverhead is more than a row takes beside its two ids.
	importRowOverhead = 5 + 5 + 4
)

// ImportRow is one follow to import.
type ImportRow struct {
	Follower, Followee string
	// Time is in seconds since 1970 UTC; 0 stands for the time of the import.
	Time uint32
}

// ImportResult is what became of one row.
type ImportResult struct {
	// Number counts the rows given to Add, from 0.
	Number int64
	Row    ImportRow
	// Code is wire.OK also when the follow was there already.
	Code wire.Code
	// Changed is false when the follow was there already.
	Changed bool
}

// Err returns nil for wire.OK, otherwise the sentinel of the code.
func (r ImportResult) Err() error { return codeErr(r.Code) }

// ImportOptions say how an import goes.
type ImportOptions struct {
	// BatchRows is how many rows go into one request, 1 to 1,000. Default 1,000, or
	// less where the server says so.
	BatchRows int
	// Window is how many batches are under way at once, 1 to 256. Default 8.
	Window int
	// Patience is how long one batch is tried again while the cluster is unavailable
	// or does not answer. Default 2 minutes.
	Patience time.Duration
	// OnResult is called for each row, in the order of Add, from within Add, Flush or
	// Close; it must not call the Importer. Default: not called.
	OnResult func(ImportResult)
}

// Importer sends rows to the cluster in batches, several at a time. It is for one
// goroutine. Always Close it; to break off, cancel the context first.
//
// Rows are follows like any other: one that is there already is left as it is,
// so an import can be repeated. Batches that the cluster could not take are sent
// again. Rows of different batches may be carried out in any order, which tells
// only where equal rows carry different times or a user reaches its limit.
type Importer struct {
	client  *Client
	ctx     context.Context
	cancel  context.CancelFunc
	options ImportOptions
	rows    int64
	current *importBatch
	window  []*importBatch // under way, oldest first
	free    []*importBatch
	err     error
}

// Import begins an import, which lasts until Close. ctx bounds all of it; each
// request, unlike other calls, is bounded by CallTimeout as well and then sent again.
func (c *Client) Import(ctx context.Context, o ImportOptions) *Importer {
	im := &Importer{client: c, options: o}
	im.ctx, im.cancel = context.WithCancel(ctx)
	if o.BatchRows < 0 || o.BatchRows > wire.MaxImportRows || o.Window < 0 || o.Window > maxImportWindow || o.Patience < 0 {
		im.err = fmt.Errorf("%w: import of batches of %d rows, window %d, patience %v", ErrOptions, o.BatchRows, o.Window, o.Patience)
		return im
	}
	if o.BatchRows == 0 {
		im.options.BatchRows = c.core.pool.importRows()
	}
	if o.Window == 0 {
		im.options.Window = defaultImportWindow
	}
	if o.Patience == 0 {
		im.options.Patience = defaultImportPatience
	}
	return im
}

// Add takes one row. It waits while the window is full. After an error the import
// is over and every further call returns the same error.
func (im *Importer) Add(row ImportRow) error {
	if im.err != nil {
		return im.err
	}
	size := len(row.Follower) + len(row.Followee) + importRowOverhead
	if size > maxBatchBytes {
		return im.stop(fmt.Errorf("row %d: %w", im.rows, badRequest("a row of %d bytes; at most %d", size, maxBatchBytes)))
	}
	if b := im.current; b != nil && (len(b.rows) == im.options.BatchRows || b.size+size > maxBatchBytes) {
		if err := im.dispatch(); err != nil {
			return err
		}
	}
	if im.current == nil {
		im.current = im.newBatch()
	}
	im.current.add(row, size)
	im.rows++
	return nil
}

// Flush sends what has been added and waits until every row has its result.
func (im *Importer) Flush() error {
	if im.err == nil && im.current != nil {
		im.err = im.dispatch()
	}
	for im.err == nil && len(im.window) > 0 {
		im.err = im.settle()
	}
	return im.err
}

// Close is Flush, and ends the import. It waits for everything under way.
func (im *Importer) Close() error {
	err := im.Flush()
	_ = im.stop(err)
	if im.err = err; im.err == nil {
		im.err = ErrImportEnded
	}
	return err
}

// stop breaks off what is under way and waits for it.
func (im *Importer) stop(err error) error {
	im.err = err
	im.cancel()
	for _, b := range im.window {
		<-b.done
	}
	im.window, im.current = nil, nil
	return err
}

func (im *Importer) newBatch() *importBatch {
	if n := len(im.free); n > 0 {
		b := im.free[n-1]
		im.free = im.free[:n-1]
		b.reset(im.rows)
		return b
	}
	b := &importBatch{done: make(chan struct{}, 1)}
	b.reset(im.rows)
	return b
}

// dispatch sends the current batch, after the oldest one when the window is full.
func (im *Importer) dispatch() error {
	if len(im.window) == im.options.Window {
		if err := im.settle(); err != nil {
			return err
		}
	}
	b := im.current
	im.current = nil
	if !im.client.core.start(func() { b.run(im) }) {
		return im.stop(unavailable("", ErrClosed))
	}
	im.window = append(im.window, b)
	return nil
}

// settle waits for the oldest batch and hands out its results.
func (im *Importer) settle() error {
	b := im.window[0]
	<-b.done
	im.window = append(im.window[:0], im.window[1:]...)
	if b.err != nil {
		last := b.first + int64(len(b.rows)) - 1
		return im.stop(fmt.Errorf("import of rows %d to %d: %w", b.first, last, b.err))
	}
	if im.options.OnResult != nil {
		for i, r := range b.results {
			code := r.Code()
			im.options.OnResult(ImportResult{b.first + int64(i), b.rows[i], code, code == wire.OK && !r.Unchanged()})
		}
	}
	im.free = append(im.free, b)
	return nil
}
