package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
)

// Download receives one blob whose hash is known, in verified groups and pairs
// in any order. Its methods may be called concurrently, by several streams that
// fetch parts of the same blob. It must be ended by Complete, Close or Discard.
//
// Leaves that follow one another are collected and written by a goroutine of
// the Download, so that receiving does not wait for the disk until a few
// mebibytes are behind.
type Download struct {
	s     *Store
	hash  bao.Hash
	size  uint64
	in    *receive.Receiver // a small blob is kept in memory
	files *staged           // where the files are

	saving sync.Mutex // serialises Flush, Complete, Close, Discard
	saved  bao.Ranges // groups of the record in the database
	broken bool       // a sync failed
	ended  bool
}

// Download begins to receive a blob, or goes on where an earlier download was
// closed or interrupted. size is what the provider claims. Where it differs
// from the size that was claimed earlier, what was kept is given up as soon as
// something of the new one is kept, unless the last group, which proves the
// size, was among it: then the error is [ErrSize]. So a caller asks for the
// last chunk before he trusts a size that differs. Other errors:
// [ErrComplete], [ErrBusy], [ErrSize] for a size that cannot be, I/O.
func (s *Store) Download(h bao.Hash, size uint64) (*Download, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if h == bao.EmptyHash() {
		return nil, ErrComplete
	}
	if size == 0 || size > meta.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrSize, size)
	}
	defer s.lockHash(h)()
	e, err := s.partial(h, size)
	if err != nil {
		return nil, err
	}
	d := &Download{s: s, hash: h, size: size, files: &staged{rec: meta.Record{Kind: meta.Partial, Size: size}}}
	if err := d.openFiles(e); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.downloads[h] = d
	s.mu.Unlock()
	s.open.Drop(h)
	return d, nil
}

// partial finds what there is of a blob that is to be downloaded; nil if it
// begins from nothing.
func (s *Store) partial(h bao.Hash, size uint64) (*entry, error) {
	s.mu.Lock()
	busy := s.downloads[h] != nil
	s.mu.Unlock()
	if busy {
		return nil, ErrBusy
	}
	e, err := s.lookup(h, true)
	switch {
	case err != nil:
		return nil, err
	case !e.found:
		return nil, nil
	case e.rec.Kind == meta.InPlace:
		if e.unchanged() != nil {
			return nil, nil // the user's file is another one now; this replaces it
		}
		return nil, ErrComplete
	case e.rec.Complete():
		return nil, ErrComplete
	case e.rec.Size == size:
		return &e, nil
	}
	last := receive.Chunks(e.rec.Size)
	if receive.Covers(e.rec.Groups, last-1, last) {
		return nil, fmt.Errorf("%w: %d bytes were claimed, %d are proven", ErrSize, size, e.rec.Size)
	}
	return nil, nil
}

// openFiles opens the files of a partial blob, or makes new ones.
func (d *Download) openFiles(e *entry) (err error) {
	s := d.s
	if e != nil {
		if d.in, err = receive.Reopen(s.pool, s.folder, &e.rec, e.data, e.outboard); err == nil {
			d.saved = e.rec.Groups
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.log.Warn("store: files of a partial blob are gone, beginning anew", "hash", d.hash)
	}
	d.in, d.files.temp, err = receive.New(s.pool, s.folder, d.size, int64(d.size) <= int64(s.cfg.InlineMax))
	return err
}

// Ranges returns the chunks that have come, in whole groups: on disk, or about
// to be. What is not among them is what to ask for.
func (d *Download) Ranges() bao.Ranges { return d.in.Received() }

// WriteLeaf takes verified data: whole groups, or the blob's last group to its
// end. data may be reused afterwards. An error of writing, ENOSPC among others,
// which may be that of an earlier leaf, is final: only Close and Discard are
// left.
func (d *Download) WriteLeaf(off uint64, data []byte) error { return d.in.Leaf(off, data) }

// WritePair takes a verified hash pair, 64 bytes, by its place in the pre-order
// outboard. The pairs above a group must come before it, as they do in every
// stream.
func (d *Download) WritePair(outboardOffset int64, pair []byte) error {
	return d.in.Pair(outboardOffset, pair)
}

// Flush writes out what has come and makes it durable, the bytes before the
// bitfield that says they are there. It may take as long as the disk needs; the
// other methods go on meanwhile.
func (d *Download) Flush() error {
	if err := d.s.enter(); err != nil {
		return err
	}
	defer d.s.leave()
	d.saving.Lock()
	defer d.saving.Unlock()
	if d.ended {
		return ErrClosed
	}
	return d.save()
}

// save is Flush. The caller holds saving.
func (d *Download) save() error {
	failed := d.in.Drain() // a full disk, say; what was written before is still good
	rec := d.in.Record(true)
	if d.in.InMemory() || d.broken || rec.Groups.Equal(d.saved) {
		return failed
	}
	if len(rec.Groups) > meta.MaxBoundaries || len(rec.Pairs) > meta.MaxBoundaries {
		return fmt.Errorf("store: partial blob %s is in too many parts to be kept", d.hash)
	}
	if err := d.s.folder.Take(8*len(rec.Groups)+8*len(rec.Pairs)+len(rec.Payload), true); err != nil {
		return err
	}
	// Everything in the record was written before; now it goes to the disk.
	if err := d.in.SyncFiles(); err != nil {
		// What the kernel could not write it may forget: nothing that the
		// database does not have yet can be trusted.
		d.broken = true
		return d.in.Fail(err)
	}
	if err := d.keep(rec); err != nil {
		return errors.Join(failed, err)
	}
	d.saved = rec.Groups
	return failed
}

// keep makes the record durable, and the files' final names before it. If the
// blob was added whole meanwhile, that is the better record, and stays.
func (d *Download) keep(rec meta.Record) error {
	s := d.s
	unlock := s.lockHash(d.hash)
	placed := d.files.temp.Empty()
	whole, err := s.whole(d.hash)
	if err == nil && !whole && placed {
		b := s.db.NewBatch()
		b.SetBlob(d.hash, &rec)
		err = b.Commit(true)
	}
	unlock()
	if err != nil || whole || placed {
		return err
	}
	s.settling <- struct{}{}
	defer func() { <-s.settling }()
	d.files.rec = rec
	return s.settleFiles(map[bao.Hash]*staged{d.hash: d.files})
}

// Complete publishes the blob: when it returns, the blob can be read whole, and
// it is durable after the next [Store.Sync]. If groups or pairs are missing the
// error is [ErrIncomplete] and the download goes on; after any other error it
// can only be closed.
func (d *Download) Complete(ctx context.Context) error {
	if err := d.s.enter(); err != nil {
		return err
	}
	defer d.s.leave()
	d.saving.Lock()
	defer d.saving.Unlock()
	if d.ended {
		return ErrClosed
	}
	err := d.in.Drain()
	if err == nil {
		err = d.publish(ctx)
	}
	if err == nil {
		d.end()
	}
	return err
}

func (d *Download) publish(ctx context.Context) error {
	if d.in.InMemory() {
		data := d.in.Memory()
		if data == nil {
			return ErrIncomplete
		}
		return d.s.commitInline(d.hash, data)
	}
	if !d.in.Whole(d.size) {
		return ErrIncomplete
	}
	st := &staged{rec: meta.Record{Kind: meta.Stored, Size: d.size, Payload: d.in.Outboard().Inline()}}
	unlock := d.s.lockHash(d.hash)
	st.temp = d.files.temp
	unlock()
	if err := d.s.commit(ctx, d.hash, st); err != nil {
		return err
	}
	unlock = d.s.lockHash(d.hash)
	d.files.temp = disk.Temp{} // they are the blob's now
	unlock()
	return nil
}

// Close ends the download and keeps what came, durably. After Complete and
// Discard it does nothing.
func (d *Download) Close() error {
	if err := d.s.enter(); err != nil {
		return nil // the store has closed it
	}
	defer d.s.leave()
	return d.finish(true)
}

// Discard ends the download and removes the partial blob.
func (d *Download) Discard() error {
	if err := d.s.enter(); err != nil {
		return err
	}
	defer d.s.leave()
	return d.finish(false)
}

// finish ends the download unless it has ended.
func (d *Download) finish(keep bool) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	if d.ended {
		return nil
	}
	defer d.end()
	if keep {
		return d.save()
	}
	if len(d.saved) == 0 {
		return nil
	}
	d.s.settling <- struct{}{}
	defer func() { <-d.s.settling }()
	return d.s.remove(d.hash, d)
}

// end stops the goroutine, closes the files and removes temporary ones.
func (d *Download) end() {
	d.ended = true
	d.in.Stop(ErrClosed)
	defer d.s.lockHash(d.hash)()
	d.s.mu.Lock()
	delete(d.s.downloads, d.hash)
	d.s.mu.Unlock()
	d.s.open.Drop(d.hash)
	d.s.removeTemp(d.files)
}
