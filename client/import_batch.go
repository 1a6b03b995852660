package client

import (
	"context"
	"errors"

	"github.com/kithgraph/kith/wire"
)

// importBatch is the rows of one request and their results. It belongs to the
// Importer until run starts and again after done.
type importBatch struct {
	first   int64 // number of the first row
	rows    []ImportRow
	size    int // of the request's body, at most
	results []wire.EdgeResult
	todo    []int // rows that have no final result yet
	request wire.ImportRequest
	err     error
	done    chan struct{}
}

func (b *importBatch) reset(first int64) {
	b.first, b.size, b.err = first, 1+5, nil
	b.rows, b.results, b.todo = b.rows[:0], b.results[:0], b.todo[:0]
}

func (b *importBatch) add(row ImportRow, size int) {
	b.todo = append(b.todo, len(b.rows))
	b.rows = append(b.rows, row)
	b.results = append(b.results, 0)
	b.size += size
}

// run sends the batch until every row has a final result, the Importer's patience
// ends, or the error is one that would only come again.
func (b *importBatch) run(im *Importer) {
	defer func() { b.done <- struct{}{} }()
	core := im.client.core
	ctx, cancel := context.WithTimeout(im.ctx, im.options.Patience)
	defer cancel()
	for attempt := 1; ; attempt++ {
		left := len(b.todo)
		err := b.attempt(ctx, im.client)
		if err == nil && len(b.todo) == 0 {
			b.err = nil
			return
		}
		if err == nil {
			err = codeErr(b.results[b.todo[0]].Code())
		}
		if b.err = err; !SafeToRetry(err) || errors.Is(err, ErrClosed) {
			return
		}
		if len(b.todo) < left {
			attempt = 1
		}
		if end := (limit{ctx: ctx}).pause(core, attempt); end != nil {
			b.err = errors.Join(err, end)
			return
		}
	}
}

// attempt sends the rows that are to be done and keeps those whose result is not final.
func (b *importBatch) attempt(ctx context.Context, c *Client) error {
	ctx, cancel := context.WithTimeout(ctx, c.core.options.CallTimeout)
	defer cancel()
	cl := c.core.newCall(wire.TypeImport, true)
	defer c.core.release(cl)
	b.request.Flags, b.request.Rows = c.call.writeFlags(), b.request.Rows[:0]
	for _, i := range b.todo {
		row := &b.rows[i]
		b.request.Rows = append(b.request.Rows, wire.ImportRow{Follower: cl.bytes(row.Follower), Followee: cl.bytes(row.Followee), Time: row.Time})
	}
	cl.body = b.request.Append(cl.body[:0])
	if err := exchangeEach(ctx, c.core, cl, &cl.rows, &cl.rows.Results, len(b.todo)); err != nil {
		return err
	}
	todo := b.todo[:0]
	for n, i := range b.todo {
		b.results[i] = cl.rows.Results[n]
		if b.results[i].Code().SafeToRetry() {
			todo = append(todo, i)
		}
	}
	b.todo = todo
	return nil
}
