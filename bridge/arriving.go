package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// arrive brings in and links what is exposed, and decides what becomes of what has come when that fails. It stays for
// [keeping.ArrivalTime], so that another call goes on with it: after a crash, when the caller was cut off, or the provider. It goes at
// once when asking again would not help. The caller holds one of ops.
func (b *Bridge) arrive(ctx context.Context, t naming.Sought, in func() (downloader.Stats, error)) error {
	if err := b.stock.Keeper.Arrive(t.Hash, t.Format, time.Now()); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	stats, err := in()
	if err == nil {
		if err := b.stock.Keeper.Arrived(t.Hash); err != nil { // the next sweep does it
			b.log.Warn("what was exposed is still noted as arriving", "hash", t.Hash, "err", err)
		}
		return nil
	}
	return errors.Join(err, b.cut(context.WithoutCancel(ctx), t, hopeless(err, stats)))
}

// cut gives up what has come of something that failed, if there is nothing of it, or no sense in it, or it was removed meanwhile.
func (b *Bridge) cut(ctx context.Context, t naming.Sought, hopeless bool) error {
	st, err := b.store.Status(t.Hash)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	items, err := b.stock.Keeper.Find(t.Hash)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	items = slices.DeleteFunc(items, keeping.Item.Kept)
	if len(items) == 0 { // nobody knows of what has come since then
		items = []keeping.Item{{Hash: t.Hash, Format: t.Format}}
	} else if st.State != store.Missing && !hopeless {
		return nil
	}
	return b.giveUp(ctx, items)
}

// hopeless tells that a download, or what was made of it, failed in a way that will be the same the next time: the content itself is
// refused, or all who were asked for it sent something else.
func hopeless(err error, stats downloader.Stats) bool {
	if errors.Is(err, ErrContent) || errors.Is(err, blobs.ErrHashSeq) {
		return true
	}
	for _, p := range stats.Providers {
		if !errors.Is(p.Err, bao.ErrHashMismatch) && !errors.Is(p.Err, blobs.ErrTooLarge) {
			return false
		}
	}
	return len(stats.Providers) > 0
}

// expire gives up what is not coming in any more. The caller holds all of ops.
func (b *Bridge) expire(ctx context.Context) error {
	arriving, err := b.stock.Keeper.Arriving()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	now := time.Now()
	var overdue []keeping.Item
	for _, i := range arriving {
		if _, err := b.linkOf(ctx, i.Hash); err == nil { // a crash came between the link and the end of the memory
			if err := b.stock.Keeper.Arrived(i.Hash); err != nil {
				return fmt.Errorf("bridge: %w", err)
			}
		} else if i.Overdue(now) {
			overdue = append(overdue, i)
		}
	}
	if len(overdue) == 0 {
		return nil
	}
	return b.giveUp(ctx, overdue)
}

// linkOf finds the link of a hash, which is more than a file in some folder.
func (b *Bridge) linkOf(ctx context.Context, hash bao.Hash) (mapping.Link, error) {
	l, err := b.find(ctx, naming.Target{Hash: hash})
	if err == nil && l.Layout == [32]byte{} {
		err = fmt.Errorf("%w: %s has no link of its own", ErrNotFound, hash)
	}
	return l, err
}
