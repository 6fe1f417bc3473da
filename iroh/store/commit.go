package store

import (
	"context"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// staged is a blob that is complete, or a partial one that is being written,
// whose record is not in the database yet.
type staged struct {
	rec  meta.Record
	temp disk.Temp // guarded by the lock of the hash once it was published
}

// Put stores data that is in memory: metadata, hash sequences. It is visible
// and durable as after [Writer.Commit]. Errors: ENOSPC, I/O.
func (s *Store) Put(ctx context.Context, data []byte) (bao.Hash, error) {
	size := uint64(len(data))
	w, err := s.NewWriter(size)
	if err != nil {
		return bao.Hash{}, err
	}
	defer w.Abort()
	for off := uint64(0); off < size; off += bao.PieceSize {
		p := data[off:min(off+bao.PieceSize, size)]
		if err := w.Add(bao.HashPiece(p, off, size), p); err != nil {
			return bao.Hash{}, err
		}
	}
	return w.Commit(ctx)
}

// commitInline publishes a blob that fits in the database. One write makes it
// visible, bytes and record together.
func (s *Store) commitInline(h bao.Hash, data []byte) error {
	if h == bao.EmptyHash() {
		return nil
	}
	defer s.lockHash(h)()
	have, old, err := s.stored(h)
	if err != nil || have {
		return err
	}
	if err := s.folder.Take(len(data)+len(h), false); err != nil {
		return err
	}
	b := s.db.NewBatch()
	b.SetBlob(h, &meta.Record{Kind: meta.Inline, Payload: data})
	if old.Files() {
		b.SetIntent(h) // it was begun with another idea of its size
	}
	if err := b.Commit(false); err != nil {
		return err
	}
	if old.Files() {
		s.trash.Add(h, old.Size)
	}
	s.removeTemp(s.dropPending(h)) // an in-place blob that this copy replaces
	s.open.Drop(h)
	return nil
}

// commit publishes a blob whose files are written. If the store has it already
// the files are removed, except that a copy of our own replaces a file of the
// user, and a file of the user replaces an older one. After an error nothing
// was published and the files are the caller's.
func (s *Store) commit(ctx context.Context, h bao.Hash, st *staged) error {
	s.mu.Lock()
	full := len(s.pending) >= maxPending || s.pendingBytes >= maxPendingBytes
	s.mu.Unlock()
	if full {
		if err := s.lockedSettle(ctx); err != nil {
			return err
		}
	}
	defer s.lockHash(h)()
	have, _, err := s.stored(h)
	if err != nil {
		return err
	}
	if have || h == bao.EmptyHash() {
		s.removeTemp(st)
		return nil
	}
	old := s.dropPending(h)
	s.mu.Lock()
	s.pending[h] = st
	s.pendingBytes += len(st.rec.Payload)
	delete(s.lost, h)
	s.mu.Unlock()
	s.open.Drop(h)
	s.removeTemp(old)
	return nil
}

// dropPending takes a blob out of the pending ones.
func (s *Store) dropPending(h bao.Hash) *staged {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.pending[h]
	if st != nil {
		s.pendingBytes -= len(st.rec.Payload)
		delete(s.pending, h)
	}
	return st
}

// unpend takes a blob out of the pending ones if it is still that one.
func (s *Store) unpend(h bao.Hash, st *staged) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[h] != st {
		return false
	}
	s.pendingBytes -= len(st.rec.Payload)
	delete(s.pending, h)
	return true
}

// stored reports whether the store has a complete copy of its own; if not, rec
// is what the database has. The caller holds the lock of the hash.
func (s *Store) stored(h bao.Hash) (have bool, rec meta.Record, err error) {
	s.mu.Lock()
	st := s.pending[h]
	s.mu.Unlock()
	if st != nil && st.rec.Kind == meta.Stored {
		return true, rec, nil
	}
	rec, _, err = s.db.Blob(h, false)
	return rec.Kind == meta.Stored || rec.Kind == meta.Inline, rec, err
}

// whole reports whether the blob can be had without the download of it that is
// going on: from a copy of our own, or from a file of the user that is still the
// one that was added. The caller holds the lock of the hash.
func (s *Store) whole(h bao.Hash) (bool, error) {
	e, err := s.lookup(h, false)
	if err != nil || !e.found || !e.rec.Complete() {
		return false, err
	}
	return e.rec.Kind != meta.InPlace || e.unchanged() == nil, nil
}

// unchanged looks at the file of an in-place blob; the error is an ErrChanged.
func (e *entry) unchanged() error {
	info, err := os.Stat(e.data)
	return e.rec.Source.Check(info, err)
}

// entry is what the store knows about a hash.
type entry struct {
	found    bool
	rec      meta.Record
	data     string    // path of the data: ours or the user's, "" if in memory
	outboard string    // path of the outboard, "" if inline or empty
	live     *Download // the download that is writing it
}

// lookup finds the newest state of a hash: pending, then complete in the
// database, then being downloaded, then partial in the database. The caller
// holds the lock of the hash as long as it uses the paths.
func (s *Store) lookup(h bao.Hash, payload bool) (entry, error) {
	s.mu.Lock()
	st, live := s.pending[h], s.downloads[h]
	s.mu.Unlock()
	if st != nil {
		return s.locate(h, st.rec, st.temp), nil
	}
	rec, ok, err := s.db.Blob(h, payload)
	switch {
	case err != nil:
		return entry{}, err
	case live != nil && (!ok || !rec.Complete()):
		e := s.locate(h, live.in.Record(false), live.files.temp)
		e.live = live
		if live.in.InMemory() {
			e.data = "" // in memory, not readable before it is complete
		}
		return e, nil
	case !ok:
		return entry{}, nil
	}
	return s.locate(h, rec, disk.Temp{}), nil
}

// locate says where the files of a record are.
func (s *Store) locate(h bao.Hash, rec meta.Record, temp disk.Temp) entry {
	e := entry{found: true, rec: rec, data: temp.Data, outboard: temp.Outboard}
	switch {
	case rec.Kind == meta.InPlace:
		e.data = rec.Source.Path
	case e.data == "" && rec.DataFile():
		e.data = s.folder.Data(h)
	}
	if e.outboard == "" && rec.OutboardFile() {
		e.outboard = s.folder.Outboard(h)
	}
	return e
}
