package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Remove unlinks a content: from now on neither network gets it. Its blobs are deleted when no operation runs, those that nothing else
// needs. A file added in place is left where it is. What is named by its hash is not kept any more either.
func (b *Bridge) Remove(ctx context.Context, text string) (Mapped, error) {
	t, err := naming.ParseTarget(text)
	if err != nil {
		return Mapped{}, err
	}
	m, unlinked := b.unlink(ctx, t, text)
	if unlinked != nil && t.CID.Defined() && t.CID.Type() == cid.Raw {
		t.Hash, _ = mapping.BLAKE3Of(t.CID) // it may be kept under its other name
	}
	kept, found, err := b.letGo(ctx, t.Hash)
	switch {
	case err != nil:
		return Mapped{}, err
	case found && (errors.Is(unlinked, ErrNotFound) || errors.Is(unlinked, ErrInvalid)):
		return kept, nil
	}
	return m, unlinked
}

// unlink removes a link.
func (b *Bridge) unlink(ctx context.Context, t naming.Target, text string) (Mapped, error) {
	l, err := b.find(ctx, t)
	if errors.Is(err, ErrNotFound) || err == nil && l.Layout == [32]byte{} {
		m, lost := b.forgetLost(ctx, t)
		if err == nil && errors.Is(lost, ErrNotFound) {
			return m, fmt.Errorf("%w: %s is part of other content; remove that", ErrInvalid, recording.Shorten(text))
		}
		return m, lost
	}
	if err != nil {
		return Mapped{}, err
	}
	m, err := b.Map(ctx, l.CID.String())
	if err != nil {
		return Mapped{}, err
	}
	if l.Hash != [32]byte{} {
		if err := b.stock.Leave(l); err != nil {
			return Mapped{}, fmt.Errorf("bridge: %w", err)
		}
	}
	if err := b.register.Delete(ctx, l.CID); err != nil {
		if errors.Is(err, mapping.ErrNotFound) {
			return Mapped{}, fmt.Errorf("%w: %s", ErrNotFound, l.CID)
		}
		return Mapped{}, err
	}
	b.wakePurge()
	return m, nil
}

// letGo gives up what is kept or arriving under a hash. found tells whether anything was.
func (b *Bridge) letGo(ctx context.Context, hash bao.Hash) (m Mapped, found bool, err error) {
	items, err := b.stock.Keeper.Find(hash)
	if err != nil || len(items) == 0 {
		return m, false, err
	}
	c, err := b.stock.Describe(items[0], b.ownAddr())
	if err != nil {
		return m, false, err
	}
	if err := b.giveUp(ctx, items); err != nil {
		return m, false, err
	}
	if n := b.online(); n != nil {
		n.iroh.Dropped()
	}
	b.wakePurge()
	return Mapped{Hash: c.Hash, Format: c.Format, Size: c.Size, CIDs: []string{}}, true, nil
}

// giveUp forgets what is kept or arriving and leaves its blobs to the next purge: by a transaction that refers to them and ends without
// a link.
func (b *Bridge) giveUp(ctx context.Context, items []keeping.Item) error {
	tx, err := b.mapping.Begin(ctx)
	if err != nil {
		return mappingError(err)
	}
	defer tx.Abort()
	err = b.stock.Keeper.Drop(items, func(blobs []bao.Hash) error {
		for _, h := range blobs {
			if err := tx.Ref(h, cid.Undef); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err == nil {
		err = b.store.Sync(ctx)
	}
	if err == nil {
		err = tx.Abort()
	}
	if err != nil {
		return fmt.Errorf("bridge: letting go of %s: %w", items[0].Hash, err)
	}
	return nil
}

// recall takes for given up what an earlier process has left to the purge: what was removed, and what came with an operation that was
// cut. Nothing of it is to be served.
func (b *Bridge) recall(ctx context.Context) error {
	var left []bao.Hash
	err := b.mapping.Orphans(ctx, func(hash [32]byte) error { left = append(left, hash); return nil })
	if err == nil && len(left) > 0 {
		err = b.stock.Keeper.Leave(left)
	}
	if err != nil {
		return fmt.Errorf("bridge: looking for what was removed: %w", mappingError(err))
	}
	return nil
}

func (b *Bridge) wakePurge() {
	b.purgeDue.Store(true)
	select {
	case b.purgeWake <- struct{}{}:
	default: // one is waiting already
	}
}

// purgeLoop deletes what nothing refers to any more, after a start and after each removal, and what has been arriving for too long. At
// the start it looks whether all links are there.
func (b *Bridge) purgeLoop() {
	const settle = 200 * time.Millisecond // so that removing many things is one pass
	overdue := time.NewTicker(overdueEvery)
	defer overdue.Stop()
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.purgeWake:
		case <-overdue.C:
		}
		select {
		case <-b.life.Done():
			return
		case <-time.After(settle):
		}
		err := errors.Join(b.look(b.life), b.purge(b.life))
		switch {
		case err == nil || b.life.Err() != nil:
		case errors.Is(err, keeping.ErrDamaged):
			b.log.Error("nothing is deleted from the disk, since nobody knows what a damaged sequence holds", "err", err)
		default:
			b.log.Error("purge", "err", mappingError(err))
		}
	}
}

// look does the audit unless it was done. Operations wait only if there is something to mend.
func (b *Bridge) look(ctx context.Context) error {
	if b.audited.Load() {
		return nil
	}
	gone, err := b.scrubber().Missing(ctx)
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		b.audited.Store(true)
		return nil
	}
	if !b.ops.TryAcquire(allOps) {
		b.purgeLater()
		return nil
	}
	defer b.ops.Release(allOps)
	return b.audit(ctx)
}

// settleTime is how long closing may take for operations and the purge.
const settleTime = 2 * time.Second

// allOps is all of the semaphore that operations take one of.
const allOps = 1 << 30

// purge deletes blobs that lost their last reference. It runs only while no operation does, since
// what it deletes is unreachable already: space is all that is at stake. Operations that begin meanwhile wait for it.
func (b *Bridge) purge(ctx context.Context) error {
	if !b.ops.TryAcquire(allOps) {
		b.purgeLater()
		return nil
	}
	defer b.ops.Release(allOps)
	return b.sweep(ctx)
}

// errUnaudited ends a purge that is about to delete something before all links were found to be there.
var errUnaudited = errors.New("the links have not been looked through yet")

// sweep is the purge itself. The caller holds all of ops. Nothing is deleted while a link is missing: its blobs would
// be among what nothing refers to.
func (b *Bridge) sweep(ctx context.Context) error {
	b.purgeDue.Store(false)
	expired := b.expire(ctx)
	kept, deleting := b.stock.Keeper.Sweep(), false
	orphan := func(hash [32]byte) error {
		if !b.audited.Load() {
			return errUnaudited
		}
		deleting = true
		return kept.Orphan(hash, func() error { return b.orphan(hash) })
	}
	err := b.mapping.Purge(ctx, orphan)
	if errors.Is(err, errUnaudited) {
		if err = b.audit(ctx); err == nil && b.audited.Load() {
			err = b.mapping.Purge(ctx, orphan)
		}
	}
	if deleting {
		err = errors.Join(err, b.store.Sync(ctx)) // the files themselves go
	}
	if err = errors.Join(expired, err); err != nil {
		b.purgeDue.Store(true)
	}
	return err
}

// orphan deletes a blob that no link refers to any more and that is not kept.
func (b *Bridge) orphan(hash [32]byte) error {
	if err := b.register.Drop(hash); err != nil {
		return err
	}
	// What is busy is being pushed just now, and kept therefore.
	if err := b.store.Delete(hash); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrBusy) {
		return err
	}
	return nil
}

// purgeLater wakes the purge again when operations may have ended.
func (b *Bridge) purgeLater() {
	b.running.Go(func() {
		select {
		case <-b.life.Done():
		case <-time.After(time.Second):
			b.wakePurge()
		}
	})
}
