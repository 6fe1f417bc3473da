package native

import (
	"context"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
)

// syncEvery is how many bytes come between two moments at which whole blobs are made durable. After a crash about this much of a
// sequence's small children is asked for again; of a large one what the store has not recorded, 16 MiB.
const syncEvery = 32 << 20

// synced is the progress of a download whose blobs are made durable now and then.
type synced struct {
	blobs.Progress
	due chan struct{} // has room for one
	new uint64
}

// Bytes implements blobs.Progress.
func (s *synced) Bytes(hash bao.Hash, n uint64) {
	s.Progress.Bytes(hash, n)
	if s.new += n; s.new < syncEvery {
		return
	}
	s.new = 0
	select {
	case s.due <- struct{}{}:
	default: // the last time is not over yet
	}
}

// syncing makes what has come of a sequence durable beside the receiving, and at its end if that is an error: whole blobs of more than
// 16 KiB are gone after a crash unless the store was synced. end is called once.
func (s *Side) syncing(ctx context.Context, p blobs.Progress) (progress blobs.Progress, end func(error)) {
	due, done := make(chan struct{}, 1), make(chan struct{})
	sync := func(ctx context.Context) {
		if err := s.Store.Sync(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("what has come of a download is not durable yet", "err", err) // who needs it to be syncs again
		}
	}
	go func() {
		defer close(done)
		for range due {
			sync(ctx)
		}
	}()
	return &synced{Progress: p, due: due}, func(err error) {
		close(due)
		<-done
		if err != nil {
			sync(context.WithoutCancel(ctx))
		}
	}
}
