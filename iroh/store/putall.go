package store

import (
	"context"
	"errors"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// Whole is a blob in memory, which the caller has verified against its hash.
type Whole struct {
	Hash bao.Hash
	Data []byte
}

// PutAll stores blobs that are in memory and verified. Those that fit in the
// database go there together, which costs a fifth of what it does one by one;
// others as by [Store.Put]. Each is visible and durable as after
// [Writer.Commit]. After an error some may have been stored. Errors: ENOSPC,
// I/O.
func (s *Store) PutAll(ctx context.Context, all []Whole) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var small []Whole
	for _, w := range all {
		switch {
		case w.Hash == bao.EmptyHash():
		case int64(len(w.Data)) <= int64(s.cfg.InlineMax):
			small = append(small, w)
		default:
			if _, err := s.Put(ctx, w.Data); err != nil {
				return err
			}
		}
	}
	return s.putInline(small)
}

// putInline publishes blobs that fit in the database, by one write for each
// quarter of a mebibyte.
func (s *Store) putInline(all []Whole) error {
	if len(all) == 0 {
		return nil
	}
	size, hashes := 0, make([]bao.Hash, len(all))
	for i, w := range all {
		size += len(w.Data) + len(w.Hash)
		hashes[i] = w.Hash
	}
	defer s.stripes.LockAll(hashes)()
	if err := s.folder.Take(size, false); err != nil {
		return err
	}
	known, err := s.Statuses(hashes)
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	replaced := make(map[bao.Hash]meta.Record)
	added := all[:0:0]
	for i, w := range all {
		var have bool
		var old meta.Record
		if known[i].State != Missing {
			if have, old, err = s.stored(w.Hash); err != nil {
				return errors.Join(err, b.Discard())
			}
		}
		if have {
			continue
		}
		if old.Files() {
			b.SetIntent(w.Hash) // it was begun with another idea of its size
			replaced[w.Hash] = old
		}
		b.SetBlob(w.Hash, &meta.Record{Kind: meta.Inline, Payload: w.Data})
		added = append(added, w)
	}
	if err := b.Commit(false); err != nil {
		return err
	}
	for _, w := range added {
		if old, ok := replaced[w.Hash]; ok {
			s.trash.Add(w.Hash, old.Size)
		}
		s.removeTemp(s.dropPending(w.Hash)) // an in-place blob that this copy replaces
		s.open.Drop(w.Hash)
	}
	return nil
}
