package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// errShrunk says that an observed blob was deleted or begun anew: an observation can only say what came.
var errShrunk = errors.New("blobs: observed blob is no longer what it was")

// observe says what there is of a blob, and what comes, until the requester loses interest. As in iroh-blobs the ranges of the request
// do not matter.
func (a *answer) observe(ctx context.Context, hash bao.Hash) error {
	if policy := a.provider.cfg.Policy; policy != nil && !policy.Allow(a.peer, hash) {
		return errPermission
	}
	changes, stop := a.provider.cfg.Store.Watch(hash)
	defer stop()
	var told wire.ObserveItem
	for first := true; ; first = false {
		left := a.provider.left(hash) // before the status, or a change in between would not be seen
		status, err := a.provider.status(hash)
		if err != nil {
			return fmt.Errorf("blobs: %s: %w", hash.ShortString(), err)
		}
		now := itemOf(status)
		if !told.Ranges.Subtract(now.Ranges).IsEmpty() {
			return errShrunk
		}
		if first || now.Size != told.Size || !now.Ranges.Equal(told.Ranges) {
			if err := a.tell(wire.ObserveItem{Size: now.Size, Ranges: now.Ranges.Subtract(told.Ranges)}); err != nil {
				return err
			}
			told = now
		}
		// Not more often than this, so that a blob that comes fast does not keep us busy telling so. The store does not hear when one
		// that was given up stays after all.
		if !a.wait(ctx, time.After(observeEvery), nil) || !left && !a.wait(ctx, nil, changes) {
			return nil
		}
	}
}

// wait waits for a value from either; false says that the requester has stopped the stream, or the connection ended.
func (a *answer) wait(ctx context.Context, timer <-chan time.Time, changes <-chan struct{}) bool {
	select {
	case <-timer:
	case <-changes:
	case <-a.stream.Context().Done():
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func itemOf(status store.Status) wire.ObserveItem {
	if status.State == store.Missing {
		return wire.ObserveItem{}
	}
	return wire.ObserveItem{Size: status.Size, Ranges: status.Ranges}
}

// tell sends an item.
func (a *answer) tell(item wire.ObserveItem) error {
	for _, part := range item.Split() {
		if err := a.stream.SetWriteDeadline(time.Now().Add(a.provider.cfg.IdleTimeout)); err != nil {
			return fmt.Errorf("blobs: deadline: %w", err)
		}
		n, err := a.stream.Write(part.Append(nil))
		a.moved(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return outbox.ErrSlow
		case err != nil:
			return fmt.Errorf("blobs: send: %w", err)
		}
	}
	return nil
}
