// Package scan goes over whole blobs on all cores: to hash them, and to check
// them against their hash. It holds a few mebibytes of buffers at most.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// verifySpan is how much of a blob one goroutine verifies at a time.
const verifySpan = 64 << 20

// Hash hashes the first size bytes of data into the tree.
func Hash(ctx context.Context, data io.ReaderAt, size uint64, tree *bao.Tree) error {
	workers := runtime.GOMAXPROCS(0)
	pieces := make([]bao.Piece, workers)
	bufs := make([][]byte, workers)
	for off := uint64(0); off < size; {
		var g errgroup.Group
		n := 0
		for ; n < workers && off < size; n++ {
			at, length, i := off, min(bao.PieceSize, size-off), n
			if bufs[i] == nil {
				bufs[i] = make([]byte, bao.PieceSize)
			}
			g.Go(func() error {
				if _, err := io.ReadFull(io.NewSectionReader(data, int64(at), int64(length)), bufs[i][:length]); err != nil {
					return fmt.Errorf("store: %w", err)
				}
				pieces[i] = bao.HashPiece(bufs[i][:length], at, size)
				return nil
			})
			off += length
		}
		if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
			return err
		}
		for _, p := range pieces[:n] {
			if err := tree.Add(p); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
	}
	return nil
}

// Verify checks the chunks of a blob that are in ranges, and the pairs above
// them, against the hash. The error is that of [bao.Encode] for the first bad
// place, or the context's.
func Verify(ctx context.Context, h bao.Hash, size uint64, data, outboard io.ReaderAt, ranges bao.Ranges) error {
	const step = verifySpan / bao.ChunkSize
	var (
		g     errgroup.Group
		mu    sync.Mutex
		first error
		at    uint64 // where first is
	)
	g.SetLimit(runtime.GOMAXPROCS(0))
	failed := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return first != nil || ctx.Err() != nil
	}
	ranges = ranges.Intersect(bao.Span(0, max(1, (size+bao.ChunkSize-1)/bao.ChunkSize)))
	for i := 0; i < len(ranges) && !failed(); i += 2 {
		for start := ranges[i]; start < ranges[i+1] && !failed(); {
			end := min(ranges[i+1], (start/step+1)*step)
			part, from := bao.Span(start, end), start
			g.Go(func() error {
				err := bao.Encode(discard{ctx}, h, size, data, outboard, part)
				mu.Lock()
				defer mu.Unlock()
				if err != nil && (first == nil || from < at) {
					first, at = err, from
				}
				return nil
			})
			start = end
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if first != nil {
		return first
	}
	return ctx.Err()
}

// discard takes what was verified and stops when the context ends.
type discard struct{ ctx context.Context }

func (d discard) Write(p []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	return len(p), nil
}
