package downloader

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// sequence fetches a hash sequence first, alone, since a request that fails at a child loses what was sent before it; then
// the missing children, as many as possible in each request.
func (f *fetch) sequence(ctx context.Context) error {
	limit := min(f.cfg.MaxHashSeq, hashSize*uint64(f.cfg.MaxChildren))
	if err := f.blob(ctx, f.root, limit); err != nil {
		return err
	}
	hashes, err := blobs.ReadHashSeq(f.cfg.Store, f.root, limit)
	if err != nil {
		return err
	}
	split, err := f.ready(ctx)
	if err != nil {
		return err
	}
	c := &children{fetch: f, hashes: hashes, todo: plan.Distinct(hashes), split: split}
	return c.run(ctx)
}

// children fetches the children of a hash sequence.
type children struct {
	*fetch
	hashes []bao.Hash
	todo   []uint32 // of hashes, distinct, ascending: the units of the plan
	split  bool     // among several streams

	// Guarded by the pool's mu.
	again []uint32 // to be looked at again: somebody else is storing it, or it was not all asked for
	large []uint32 // to be fetched in parts
}

// run gets all children, those that are large one after the other in parts.
func (c *children) run(ctx context.Context) error {
	for delay := retryDelay; len(c.todo) > 0; {
		before := c.have()
		cfg := plan.Config{MinSpan: minBatch, MaxSpan: uint64(len(c.todo)), Target: spanTime, Stall: c.stall()}
		if !c.split {
			cfg.MinSpan = max(fewChildren, cfg.MaxSpan/16)
			cfg.MaxSpan = cfg.MinSpan
		}
		if err := c.do(ctx, &job{plan: plan.New(cfg, bao.Span(0, uint64(len(c.todo)))), work: c.work}); err != nil {
			return err
		}
		for _, i := range c.large {
			if err := c.blob(ctx, c.hashes[i], math.MaxUint64); err != nil {
				return err
			}
		}
		c.todo, c.again, c.large = c.again, nil, nil
		if c.have() > before || len(c.todo) == 0 {
			delay = retryDelay
			continue
		}
		if err := pause(ctx, delay); err != nil {
			return context.Cause(ctx)
		}
		delay = min(2*delay, maxDelay)
	}
	return nil
}

// have returns how many bytes have come.
func (c *children) have() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.Bytes
}

// work gets children from one provider, in as many requests as it takes.
func (c *children) work(ctx context.Context, l *lane, t *plan.Task) error {
	units := plan.Each(t.Units)
	for len(units) > 0 {
		batch, ranges, err := c.ask(ctx, units)
		if err != nil {
			return err
		}
		done, err := c.request(ctx, l, t, batch, ranges)
		if err := errors.Join(err, ours(l.tray.Empty())); err != nil {
			return err
		}
		units = units[done:]
	}
	return nil
}

// child is one of those that a provider is asked for.
type child struct {
	wanted // without ranges if it is there
	unit   uint64
	busy   bool // somebody else has it
}

// ask looks through units, as many as fit in a request: some are there already, the others are asked for.
func (c *children) ask(ctx context.Context, units []uint64) (batch []child, ranges blobs.ChunkRangesSeq, err error) {
	units = units[:min(len(units), maxBatch)]
	hashes := make([]bao.Hash, len(units))
	for n, unit := range units {
		hashes[n] = c.hashes[c.todo[unit]]
	}
	known, err := c.cfg.Store.Statuses(hashes)
	if err != nil {
		return nil, nil, own(c.root, err)
	}
	batch = make([]child, 0, len(units))
	size, parts := 0, 0
	for n, unit := range units {
		if size >= maxAsked {
			break
		}
		one := child{wanted: wanted{hash: hashes[n], ranges: bao.All(), fresh: true}, unit: unit}
		switch known[n].State {
		case store.Complete:
			one.ranges = nil
		case store.Partial:
			one.wanted, err = c.missing(ctx, hashes[n])
			one.busy = errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrComplete)
			if err != nil && !one.busy {
				return nil, nil, err
			}
			if one.busy {
				one.ranges = nil
			}
		}
		if one.index = c.todo[unit]; c.split {
			one.splitFrom = splitFrom
		}
		if !one.ranges.IsEmpty() {
			ranges = ranges.Add(uint64(one.index)+1, one.ranges)
		}
		if len(ranges) > parts { // one more after the same ranges costs nothing
			size += 12 + 10*len(one.ranges)
			parts = len(ranges)
		}
		batch = append(batch, one)
	}
	return batch, ranges, nil
}

// request fetches children in one request, and returns with how many of them it is done: it is given up behind one that is not to be had
// now.
func (c *children) request(ctx context.Context, l *lane, t *plan.Task, batch []child, ranges blobs.ChunkRangesSeq) (done int, err error) {
	var response *blobs.Response
	for n, want := range batch {
		if want.ranges.IsEmpty() {
			c.note(t, want, want.busy)
			continue
		}
		if response == nil {
			if response, err = l.get(ctx, blobs.GetRequest{Hash: c.root, Ranges: ranges}); err != nil {
				return 0, err
			}
			defer l.closing(response)
		}
		response.Next()
		err := l.receive(ctx, response, want.wanted, math.MaxUint64, t)
		switch {
		case err == nil:
			c.note(t, want, false)
		case errors.Is(err, errLarge):
			c.mu.Lock()
			c.large = append(c.large, want.index)
			c.mu.Unlock()
			c.note(t, want, false)
			return n + 1, nil
		case errors.Is(err, store.ErrIncomplete):
			c.note(t, want, true)
		case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrComplete):
			c.note(t, want, true)
			if err = drain(response, err); errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrComplete) {
				return n + 1, nil
			} else if err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
	return len(batch), nil
}

// note takes a child off the list, or puts it on the one for later.
func (c *children) note(t *plan.Task, of child, later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job.plan.Came(t, of.unit); later {
		c.again = append(c.again, of.index)
	}
}

// drain reads to the end of a blob that is not to be stored. If that is far it returns otherwise instead: asking again is better then.
func drain(response *blobs.Response, otherwise error) error {
	for n := 0; n < maxDrain; {
		item, err := response.Item()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		n += len(item.Data)
	}
	return otherwise
}
