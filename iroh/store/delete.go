package store

import (
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// Delete removes a blob, complete or partial. It is gone when Delete returns,
// and stays gone after a power cut once [Store.Sync] was called. Who has it
// open can go on reading. A file that was added in place is not touched. The
// space of its files is given back by the next Sync, or after some more
// deletions. Tags are not looked at. Deleting what is not there is no error;
// what is being downloaded is [ErrBusy].
func (s *Store) Delete(h bao.Hash) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.settling <- struct{}{} // a blob must not be moved while it is removed
	defer func() { <-s.settling }()
	if err := s.remove(h, nil); err != nil {
		return err
	}
	if s.trash.Full() {
		return s.settleFiles(nil)
	}
	return nil
}

// remove makes a blob invisible and puts its files into the trash. The files
// themselves go when the removal of the record is durable: a record without
// its files would be half a blob. by is nil, or the download that removes its
// partial blob and nothing else. The caller holds settling.
func (s *Store) remove(h bao.Hash, by *Download) error {
	defer s.lockHash(h)()
	s.mu.Lock()
	busy := s.downloads[h] != by
	s.mu.Unlock()
	if busy {
		return ErrBusy
	}
	rec, found, err := s.db.Blob(h, false)
	if err != nil {
		return err
	}
	if by != nil && rec.Kind != meta.Partial {
		return nil // added whole meanwhile
	}
	if found {
		if err := s.folder.Take(len(h), true); err != nil {
			return err
		}
		b := s.db.NewBatch()
		if rec.Files() {
			b.SetIntent(h)
		}
		b.RemoveBlob(h)
		if err := b.Commit(false); err != nil {
			return err
		}
	}
	if by == nil {
		s.removeTemp(s.dropPending(h))
	}
	s.open.Drop(h)
	s.mu.Lock()
	delete(s.lost, h)
	s.mu.Unlock()
	if rec.Files() {
		s.trash.Add(h, rec.Size)
	}
	return nil
}
