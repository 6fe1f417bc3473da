package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Remove unlinks a content: from now on neither network gets it. Its blobs are deleted soon after, those that nothing
// else needs. A file added in place is left where it is.
func (b *Bridge) Remove(ctx context.Context, text string) (Mapped, error) {
	t, err := parseTarget(text)
	if err != nil {
		return Mapped{}, err
	}
	l, err := b.find(ctx, t)
	if err != nil {
		return Mapped{}, err
	}
	if l.Layout == [32]byte{} {
		return Mapped{}, fmt.Errorf("%w: %s is part of other content; remove that", ErrInvalid, recording.Shorten(text))
	}
	m, err := b.Map(ctx, l.CID.String())
	if err != nil {
		return Mapped{}, err
	}
	if err := b.mapping.Delete(ctx, l.CID); err != nil {
		if errors.Is(err, mapping.ErrNotFound) {
			return Mapped{}, fmt.Errorf("%w: %s", ErrNotFound, l.CID)
		}
		return Mapped{}, err
	}
	b.wakePurge()
	return m, nil
}

func (b *Bridge) wakePurge() {
	b.purgeDue.Store(true)
	select {
	case b.purgeWake <- struct{}{}:
	default: // one is waiting already
	}
}

// purgeLoop deletes what nothing refers to any more, after a start and after each removal.
func (b *Bridge) purgeLoop() {
	const settle = 200 * time.Millisecond // so that removing many things is one pass
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.purgeWake:
		}
		select {
		case <-b.life.Done():
			return
		case <-time.After(settle):
		}
		if err := b.purge(b.life); err != nil && b.life.Err() == nil {
			b.log.Error("purge", "err", err)
		}
	}
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

// sweep is the purge itself. The caller holds all of ops.
func (b *Bridge) sweep(ctx context.Context) error {
	b.purgeDue.Store(false)
	err := b.mapping.Purge(ctx, func(hash [32]byte) error {
		if err := b.store.Delete(hash); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		b.purgeDue.Store(true)
	}
	return err
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
