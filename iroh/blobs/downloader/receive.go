package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// errLarge says that a child is to be fetched in parts.
var errLarge = errors.New("blobs: child is large")

// receive reads one blob of a response, which was announced by Next, into the store. Small ones go by way of the lane's tray and are
// stored when that is emptied.
func (l *lane) receive(ctx context.Context, response *blobs.Response, want wanted, limit uint64, t *plan.Task) error {
	size, err := response.Open(want.hash)
	if err != nil {
		return err
	}
	if size > limit {
		return fmt.Errorf("%w: %s claims %d bytes, at most %d are taken", blobs.ErrTooLarge, want.hash.ShortString(), size, limit)
	}
	if want.size != 0 && want.size != size && !l.proves(ctx, want.hash, size) {
		// Another provider claimed want.size; what came from it would be given up for this claim.
		return fmt.Errorf("%w: %s claims %d bytes, %d were claimed before", blobs.ErrSize, want.hash.ShortString(), size, want.size)
	}
	if want.splitFrom > 0 && size > want.splitFrom {
		return errLarge
	}
	l.begins(want.hash, size, want.have)
	if want.fresh && size <= smallBlob {
		return l.receiveSmall(response, want.hash, size, t)
	}
	blob := landing.New(l.cfg.Store, want.hash, size, nil)
	stream := blob.Stream()
	for {
		item, err := response.Item()
		if errors.Is(err, io.EOF) {
			return l.land(ctx, blob, want, size, nil)
		}
		if err == nil {
			var stored uint64
			if stored, err = stream.Add(item); err != nil {
				err = own(want.hash, err)
			} else if stored > 0 {
				l.moved(t, want.hash, stored)
			}
		}
		if err != nil {
			return l.land(ctx, blob, want, size, err)
		}
	}
}

// receiveSmall collects a blob in memory, to be stored at once. Until it is whole it does not count as received.
func (l *lane) receiveSmall(response *blobs.Response, hash bao.Hash, size uint64, t *plan.Task) error {
	data := make([]byte, 0, size)
	for {
		item, err := response.Item()
		switch {
		case errors.Is(err, io.EOF):
			if err := l.tray.Put(store.Whole{Hash: hash, Data: data}); err != nil {
				return ours(err)
			}
			l.completed()
			l.moved(t, hash, size)
			return nil
		case err != nil:
			return err
		case item.Kind == bao.Leaf:
			data = append(data, item.Data...)
		}
	}
}

// completed counts a blob.
func (f *fetch) completed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Blobs++
}

// land completes a blob after its last item, or keeps what was received of it before an error. Not all of it may have been asked for:
// then it is [store.ErrIncomplete].
func (l *lane) land(ctx context.Context, blob *landing.Blob, want wanted, size uint64, cause error) error {
	if !blob.Begun() {
		if cause == nil {
			cause = fmt.Errorf("blobs: %s: %w", want.hash.ShortString(), blobs.ErrTruncated) // all that was asked for is nothing that can be stored
		}
		return cause
	}
	if cause == nil {
		// What has come whole is to be there, even if nobody wants it any more.
		if cause = blob.Complete(context.WithoutCancel(ctx)); cause == nil {
			l.completed()
			return nil
		}
		cause = own(want.hash, cause)
	}
	if errors.Is(cause, bao.ErrHashMismatch) && want.fresh && !blob.Proven() && !l.proves(ctx, want.hash, size) {
		// With a wrong size even what did verify may be of no use.
		return errors.Join(cause, own(want.hash, blob.Discard()))
	}
	if err := own(want.hash, blob.Keep()); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// proves asks for the last chunk of a blob and tells whether it proves the size.
func (l *lane) proves(ctx context.Context, hash bao.Hash, size uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	proven, err := l.lastChunk(ctx, hash, size)
	return err == nil && proven == size
}
