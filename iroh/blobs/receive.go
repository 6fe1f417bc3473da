package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// receive reads one blob of a response, which was announced by Next, into the store. Small ones go by way of the shelf and are
// stored when that is closed.
func (f *fetch) receive(ctx context.Context, response *Response, want wanted, limit uint64, small *shelf) error {
	before := response.Received()
	defer func() { f.stats.Received += response.Received() - before }()
	size, err := response.Open(want.hash)
	if err != nil {
		return err
	}
	if size > limit {
		return fmt.Errorf("%w: %s claims %d bytes, at most %d are taken", ErrTooLarge, want.hash.ShortString(), size, limit)
	}
	if want.size != 0 && want.size != size && !f.proven(ctx, want.hash, size) {
		// Another provider claimed want.size; what came from it would be given up for this claim.
		return fmt.Errorf("%w: %s claims %d bytes, %d were claimed before", ErrSize, want.hash.ShortString(), size, want.size)
	}
	f.progress.Blob(want.hash, size, want.have)
	if want.fresh && size <= smallBlob {
		return f.receiveSmall(response, size, small)
	}
	in := &incoming{fetch: f, hash: want.hash, size: size, fresh: want.fresh}
	for {
		item, err := response.Item()
		if errors.Is(err, io.EOF) {
			return in.end(ctx, nil)
		}
		if err == nil {
			err = in.add(item)
		}
		if err != nil {
			return in.end(ctx, err)
		}
	}
}

// receiveSmall collects a blob in memory, to be stored at once. Until it is whole it does not count as received.
func (f *fetch) receiveSmall(response *Response, size uint64, small *shelf) error {
	data := make([]byte, 0, size)
	for {
		item, err := response.Item()
		switch {
		case errors.Is(err, io.EOF):
			if err := small.put(data); err != nil {
				return err
			}
			f.stats.Blobs++
			f.received(size)
			return nil
		case err != nil:
			return err
		case item.Kind == bao.Leaf:
			data = append(data, item.Data...)
		}
	}
}

func (f *fetch) received(n uint64) {
	f.stats.Bytes += n
	f.progress.Bytes(n)
}

// incoming stores the verified items of one blob. The store hears of the blob with the first leaf, so that a provider that has
// nothing but a claim leaves no trace.
type incoming struct {
	*fetch
	hash  bao.Hash
	size  uint64
	fresh bool

	download  *store.Download // nil before the first leaf
	pairs     []heldPair      // before the first leaf: at most one for each level of the tree
	unflushed uint64
	flushing  chan error // of the flush under way; nil when there is none
}

type heldPair struct {
	offset int64
	pair   [2 * hashSize]byte
}

func (in *incoming) add(item bao.Item) error {
	if item.Kind == bao.Leaf {
		return in.leaf(item)
	}
	switch {
	case item.OutboardOffset < 0:
		return nil // inside a group: the store does not keep those
	case in.download == nil:
		in.pairs = append(in.pairs, heldPair{item.OutboardOffset, [2 * hashSize]byte(item.Data)})
		return nil
	}
	return in.storeError(in.download.WritePair(item.OutboardOffset, item.Data))
}

func (in *incoming) leaf(item bao.Item) error {
	if in.download == nil {
		if err := in.open(); err != nil {
			return err
		}
	}
	n := uint64(len(item.Data))
	if err := in.download.WriteLeaf(item.Offset, item.Data); err != nil {
		return in.storeError(err)
	}
	in.received(n)
	if in.unflushed += n; in.unflushed >= flushEvery {
		return in.flush()
	}
	return nil
}

// flush records what is there, beside the receiving. One flush is under way at a time.
func (in *incoming) flush() error {
	if err := in.flushed(); err != nil {
		return err
	}
	in.unflushed = 0
	done := make(chan error, 1)
	in.flushing = done
	go func() { done <- in.download.Flush() }()
	return nil
}

// flushed waits for the flush under way.
func (in *incoming) flushed() error {
	if in.flushing == nil {
		return nil
	}
	err := <-in.flushing
	in.flushing = nil
	return in.storeError(err)
}

func (in *incoming) open() (err error) {
	if in.download, err = in.cfg.Store.Download(in.hash, in.size); err != nil {
		return in.storeError(err)
	}
	for _, held := range in.pairs {
		if err := in.download.WritePair(held.offset, held.pair[:]); err != nil {
			return in.storeError(err)
		}
	}
	in.pairs = nil
	return nil
}

func (in *incoming) storeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blobs: %s: %w", in.hash.ShortString(), err)
}

// end completes the blob after its last item, or keeps what was received of it before an error.
func (in *incoming) end(ctx context.Context, cause error) error {
	if in.download == nil {
		if cause == nil {
			return in.storeError(ErrTruncated) // all that was asked for is nothing that can be stored
		}
		return cause
	}
	if err := in.flushed(); cause == nil {
		cause = err
	}
	if cause == nil {
		switch err := in.download.Complete(ctx); {
		case err == nil:
			in.stats.Blobs++
			return nil
		case !errors.Is(err, store.ErrIncomplete): // if so, not all was asked for; the next request does
			cause = in.storeError(err)
		}
	}
	if errors.Is(cause, bao.ErrHashMismatch) && in.fresh && !in.proven(ctx, in.hash, in.size) {
		// With a wrong size even what did verify may be of no use.
		return errors.Join(cause, in.storeError(in.download.Discard()))
	}
	return errors.Join(cause, in.storeError(in.download.Close()))
}

// proven asks for the last chunk of a blob, which proves its size.
func (f *fetch) proven(ctx context.Context, hash bao.Hash, size uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	response, err := f.get(ctx, GetRequest{Hash: hash, Ranges: OneBlob(bao.LastChunk())})
	if err != nil {
		return false
	}
	defer response.Close()
	response.Next()
	claimed, err := response.Open(hash)
	for err == nil {
		_, err = response.Item()
	}
	return errors.Is(err, io.EOF) && claimed == size
}
