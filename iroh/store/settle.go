package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// Sync makes durable everything that was committed, tagged or deleted before
// the call. A blob whose file cannot be synced is dropped, since its bytes may
// be lost, and named in the error of this and later calls until it is added
// again or deleted; the others become durable all the same.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.lockedSettle(ctx)
}

func (s *Store) lockedSettle(ctx context.Context) error {
	select {
	case s.settling <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.settling }()
	return s.settle(ctx)
}

// settle moves every pending blob to its place, durably, and removes the files
// of deleted ones. The caller holds settling, or is Close.
func (s *Store) settle(ctx context.Context) error {
	s.mu.Lock()
	batch := maps.Clone(s.pending)
	s.mu.Unlock()
	if len(batch) == 0 && len(s.trash.Hashes()) == 0 {
		return errors.Join(s.db.Sync(), s.lostBlobs())
	}
	if err := s.syncFiles(ctx, batch); err != nil {
		return err
	}
	err := s.settleFiles(batch)
	for h, st := range batch {
		s.unpend(h, st)
	}
	return errors.Join(err, s.lostBlobs())
}

// lostBlobs names the blobs that were dropped since their bytes could not be
// synced: whoever committed one must not be told by a later Sync that all is
// well.
func (s *Store) lostBlobs() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.lost {
		return fmt.Errorf("store: %d blobs could not be synced, one of them: %w", len(s.lost), err)
	}
	return nil
}

// syncFiles syncs the files of the batch. Blobs whose files fail are dropped
// and taken out of the batch; the error is the context's.
func (s *Store) syncFiles(ctx context.Context, batch map[bao.Hash]*staged) error {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(syncWorkers)
	for h, st := range maps.Clone(batch) {
		if ctx.Err() != nil {
			break
		}
		at := s.locate(h, st.rec, s.tempOf(h, st))
		if st.rec.Kind == meta.InPlace {
			at.data = "" // the user's own; its readers verify every byte
		}
		if at.data == "" && at.outboard == "" {
			continue
		}
		g.Go(func() error {
			if err := errors.Join(s.folder.Sync(at.data), s.folder.Sync(at.outboard)); err != nil {
				s.dropLost(h, st, err)
				mu.Lock()
				defer mu.Unlock()
				delete(batch, h)
			}
			return nil
		})
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// dropLost forgets a pending blob whose files could not be synced, unless
// another one has taken its place.
func (s *Store) dropLost(h bao.Hash, st *staged, cause error) {
	defer s.lockHash(h)()
	if !s.unpend(h, st) {
		return
	}
	s.mu.Lock()
	s.lost[h] = fmt.Errorf("blob %s: %w", h, cause)
	s.mu.Unlock()
	s.open.Drop(h)
	s.removeTemp(st)
}

// settleFiles brings synced files to their final places and then writes their
// records, so that at every point in between a crash leaves either no record,
// and an intent by which the files are found and removed, or the record and
// the files. Files in the trash are removed on the way. Blobs whose records
// were not written are taken out of the batch. The caller holds settling.
func (s *Store) settleFiles(batch map[bao.Hash]*staged) error {
	trash, errs, err := s.moveFiles(batch)
	var left []bao.Hash
	if err == nil {
		left, err = s.writeRecords(batch, trash)
	}
	if err == nil {
		err = s.db.Sync()
	}
	if err != nil {
		clear(batch)
		return errors.Join(append(errs, err)...)
	}
	s.trash.Drop(trash)
	for _, h := range left {
		s.trash.Add(h, 0)
	}
	return errors.Join(errs...)
}

// writeRecords writes the records of what was moved, and the end of the
// intents. A blob whose place another one has taken since it was moved is taken
// out of the batch, since the other one's record may be there already; what was
// moved for it is left, with its intent.
func (s *Store) writeRecords(batch map[bao.Hash]*staged, trash []bao.Hash) (left []bao.Hash, err error) {
	defer s.stripes.LockAll(slices.Collect(maps.Keys(batch)))()
	b := s.db.NewBatch()
	for _, h := range trash {
		if batch[h] == nil {
			b.RemoveIntent(h)
		}
	}
	for h, st := range batch {
		switch current, err := s.current(h, st); {
		case err != nil:
			return nil, errors.Join(err, b.Discard())
		case current:
			b.SetBlob(h, &st.rec)
			b.RemoveIntent(h)
		default:
			delete(batch, h)
			left = append(left, h)
		}
	}
	return left, b.Commit(false)
}

// current reports whether no other blob has taken the place of a staged one: of
// a pending one its successor, of a download one that was added whole. The
// caller holds the lock of the hash.
func (s *Store) current(h bao.Hash, st *staged) (bool, error) {
	if !st.rec.Complete() {
		whole, err := s.whole(h)
		return !whole && err == nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending[h] == st, nil
}

// moveFiles is what settleFiles does before the records: intents, trash, names.
// errs are failures of single blobs, err one of all.
func (s *Store) moveFiles(batch map[bao.Hash]*staged) (trash []bao.Hash, errs []error, err error) {
	if err := s.folder.Take(len(batch)*64, true); err != nil {
		return nil, nil, err
	}
	trash = s.trash.Hashes()
	// The intents are durable before any file has its final name. The same
	// write makes the removal of records durable whose files are in the trash.
	dirs := disk.Dirs{}
	if err := s.writeIntents(batch, dirs); err != nil {
		return nil, nil, err
	}
	for _, h := range trash {
		if err := s.removeUnused(h, batch[h], dirs); err != nil {
			errs = append(errs, err)
		}
	}
	for h, st := range batch {
		if moved, err := s.move(h, st, dirs); !moved {
			delete(batch, h)
			errs = append(errs, err)
		}
	}
	return trash, errs, s.folder.SyncDirs(dirs)
}

// writeIntents records which files are about to get their final names or to be
// removed, and then removes the files of older records that the new ones have no
// use for. A partial blob whose files are touched loses its record here: its
// bitfield must not describe another file.
func (s *Store) writeIntents(batch map[bao.Hash]*staged, dirs disk.Dirs) error {
	b := s.db.NewBatch()
	unused := make(map[bao.Hash]meta.Record)
	for h, st := range batch {
		old, found, err := s.db.Blob(h, false)
		if err != nil {
			return errors.Join(err, b.Discard())
		}
		temp := s.tempOf(h, st)
		touched := !temp.Empty()
		if old.DataFile() && !st.rec.DataFile() || old.OutboardFile() && !st.rec.OutboardFile() {
			unused[h] = old
			touched = true
		}
		if !touched {
			continue
		}
		b.SetIntent(h) // first: the batch may be cut here
		if found && old.Kind == meta.Partial {
			b.RemoveBlob(h)
		}
	}
	if err := b.Commit(true); err != nil {
		return err
	}
	for h, old := range unused {
		rec := batch[h].rec
		if err := s.folder.RemoveFinal(h, old.DataFile() && !rec.DataFile(), old.OutboardFile() && !rec.OutboardFile(), dirs); err != nil {
			return err
		}
	}
	return nil
}

// tempOf returns the temporary files of a blob, which its successor may remove
// at any time.
func (s *Store) tempOf(h bao.Hash, st *staged) disk.Temp {
	defer s.lockHash(h)()
	return st.temp
}

// move gives the files of a blob their final names, unless another blob has
// taken its place meanwhile.
func (s *Store) move(h bao.Hash, st *staged, dirs disk.Dirs) (bool, error) {
	defer s.lockHash(h)()
	if current, err := s.current(h, st); err != nil || !current {
		return false, err
	}
	err := s.folder.Place(h, &st.temp, dirs)
	return err == nil, err
}
