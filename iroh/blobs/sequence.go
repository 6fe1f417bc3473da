package blobs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// sequence fetches a hash sequence first, alone, since a request that fails at a child loses what was sent before it; then
// as many of the missing children as possible in each request.
func (f *fetch) sequence(ctx context.Context) error {
	limit := min(f.cfg.MaxHashSeq, hashSize*uint64(f.cfg.MaxChildren))
	if err := f.blob(ctx, f.root, limit); err != nil {
		return err
	}
	hashes, err := f.readHashSeq(limit)
	if err != nil {
		return err
	}
	c := &children{fetch: f, hashes: hashes, todo: distinct(hashes)}
	c.window = len(c.todo)
	return f.retry(ctx, c.step)
}

// readHashSeq reads the hash sequence from the store.
func (f *fetch) readHashSeq(limit uint64) ([]bao.Hash, error) {
	blob, err := f.cfg.Store.Open(f.root)
	if err != nil {
		return nil, fmt.Errorf("blobs: %s: %w", f.root.ShortString(), err)
	}
	defer func() { _ = blob.Close() }()
	size := blob.Size()
	switch {
	case size%hashSize != 0:
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrHashSeq, f.root.ShortString(), size)
	case size > limit:
		return nil, fmt.Errorf("%w: %s has %d children", ErrTooLarge, f.root.ShortString(), size/hashSize)
	}
	data := make([]byte, size)
	if _, err := blob.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("blobs: %s: %w", f.root.ShortString(), err)
	}
	if bao.Sum(data) != f.root {
		return nil, fmt.Errorf("blobs: %s: %w", f.root.ShortString(), store.ErrDamaged)
	}
	return ParseHashSeq(data)
}

// distinct returns the index of the first place of every hash, ascending.
func distinct(hashes []bao.Hash) []uint32 {
	order := make([]uint32, len(hashes))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(bytes.Compare(hashes[a][:], hashes[b][:]), cmp.Compare(a, b))
	})
	order = slices.CompactFunc(order, func(a, b uint32) bool { return hashes[a] == hashes[b] })
	slices.Sort(order)
	return order
}

// children fetches the children of a hash sequence.
type children struct {
	*fetch
	hashes []bao.Hash
	todo   []uint32 // of hashes, those not known to be complete, ascending
	window int      // how many are asked for in one request
}

// step asks for the next missing children, as many as the window and the size of a request allow. A provider that lacks one of them
// resets the stream, and what was on its way is lost; then fewer are asked for, at last one alone, which is then known to be the
// one.
func (c *children) step(ctx context.Context) (done bool, err error) {
	asked, ranges, err := c.ask(ctx)
	if err != nil || len(asked) == 0 {
		return true, err
	}
	before := c.stats.Bytes
	left, err := c.request(ctx, asked, ranges)
	c.todo = append(left, c.todo...)
	if err == nil {
		c.window *= 2
		return false, nil
	}
	broken := errors.Is(err, errReset) || errors.Is(err, ErrTruncated)
	if broken && c.stats.Bytes == before && len(asked) > 1 {
		c.window = (len(asked) + 1) / 2
		return c.step(ctx)
	}
	return false, err
}

// ask takes children off the list: those that are complete, and those that are asked for.
func (c *children) ask(ctx context.Context) (asked []wanted, ranges ChunkRangesSeq, err error) {
	var seen, size int
	for _, i := range c.todo {
		if len(asked) >= c.window || size >= maxAsked {
			break
		}
		seen++
		want, err := c.missing(ctx, c.hashes[i])
		if err != nil {
			return nil, nil, err
		}
		if want.ranges.IsEmpty() {
			continue
		}
		want.index = i
		asked = append(asked, want)
		ranges = ranges.Add(uint64(i)+1, want.ranges)
		size += 6 + 10*len(want.ranges)
	}
	c.todo = c.todo[seen:]
	return asked, ranges, nil
}

// request fetches children in one request, and returns those that it could not complete. Children that somebody else is storing are
// passed over; the error says so at the end.
func (c *children) request(ctx context.Context, asked []wanted, ranges ChunkRangesSeq) (left []uint32, err error) {
	small := newShelf(ctx, c.cfg.Store)
	defer func() { err = errors.Join(err, small.close()) }()
	response, err := c.get(ctx, GetRequest{Hash: c.root, Ranges: ranges})
	if err != nil {
		return indices(left, asked), err
	}
	defer response.Close()
	var passed error
	for i, want := range asked {
		response.Next()
		completed := c.stats.Blobs
		err := c.receive(ctx, response, want, math.MaxUint64, small)
		if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrComplete) {
			passed = err
			err = drain(response, err)
		}
		if c.stats.Blobs == completed {
			left = append(left, want.index)
		}
		if err != nil {
			return indices(left, asked[i+1:]), err
		}
	}
	return left, passed
}

// indices appends the indices of the wanted.
func indices(to []uint32, of []wanted) []uint32 {
	for _, want := range of {
		to = append(to, want.index)
	}
	return to
}

// drain reads to the end of a blob that is not to be stored. If that is far it returns otherwise instead: asking again is better then.
func drain(response *Response, otherwise error) error {
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
