package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/lru"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
)

// handle is an open blob that is not inline. Its files stay open, and with
// them its bytes, for as long as anyone holds the handle, whatever happens to
// their names.
type handle struct {
	rec      meta.Record
	data     *os.File
	outboard *os.File  // nil when the outboard is in memory or empty
	live     *Download // the download that was writing it when it was opened
}

func (hd *handle) close() {
	for _, f := range []*os.File{hd.data, hd.outboard} {
		if f != nil {
			_ = f.Close() // it was only read: closing loses nothing
		}
	}
}

// Blob is a blob that is open for reading, complete or partial. It is safe for
// concurrent use and must be closed. Its bytes stay readable even when the
// blob is deleted or replaced meanwhile. The bytes are as the disk has them:
// who reads verifies them, by [bao.Encode] or by a hash of his own.
type Blob struct {
	hash   bao.Hash
	item   *lru.Item[bao.Hash, *handle] // nil when inline
	inline []byte
	size   uint64
	closed atomic.Bool
}

// Open opens a blob, complete or partial. Errors: [ErrNotFound]; [ErrChanged]
// if it was added in place and its file is another one now; a [DamageError] if
// its files are gone.
func (s *Store) Open(h bao.Hash) (*Blob, error) {
	if b := s.cached(h); b != nil {
		return b, nil
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if h == bao.EmptyHash() {
		return &Blob{hash: h}, nil
	}
	defer s.lockHash(h)()
	if b := s.cached(h); b != nil {
		return b, nil
	}
	e, err := s.lookup(h, true)
	switch {
	case err != nil:
		return nil, err
	case !e.found:
		return nil, fmt.Errorf("%w: blob %s", ErrNotFound, h)
	case e.rec.Kind == meta.Inline:
		return &Blob{hash: h, inline: e.rec.Payload, size: e.rec.Size}, nil
	}
	hd, err := e.open(h)
	if err != nil {
		return nil, err
	}
	return &Blob{hash: h, item: s.open.Put(h, hd), size: e.rec.Size}, nil
}

// cached opens a blob whose files are open already.
func (s *Store) cached(h bao.Hash) *Blob {
	item := s.open.Get(h)
	if item == nil {
		return nil
	}
	return &Blob{hash: h, item: item, size: item.Value.rec.Size}
}

// open opens the files of a blob. The caller holds the lock of its hash, so
// that they do not move.
func (e *entry) open(h bao.Hash) (*handle, error) {
	hd := &handle{rec: e.rec, live: e.live}
	var err error
	if e.data != "" {
		hd.data, err = os.Open(e.data)
	}
	switch {
	case err == nil:
		err = hd.unchanged()
	case e.rec.Kind == meta.InPlace:
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	default:
		err = &DamageError{Hash: h, Part: "data", Err: err}
	}
	if err == nil && e.outboard != "" {
		if hd.outboard, err = os.Open(e.outboard); err != nil {
			err = &DamageError{Hash: h, Part: "outboard", Err: err}
		}
	}
	if err != nil {
		hd.close()
		return nil, err
	}
	return hd, nil
}

// unchanged says whether the file of the user, if it is one, is what was added.
func (hd *handle) unchanged() error {
	if hd.rec.Kind != meta.InPlace {
		return nil
	}
	info, err := hd.data.Stat()
	return changed(&hd.rec.Source, info, err)
}

// changed judges what stat said about an in-place blob.
func changed(src *meta.Source, info os.FileInfo, err error) error { return src.Check(info, err) }

// Hash returns the blob's hash.
func (b *Blob) Hash() bao.Hash { return b.hash }

// Size returns the blob's size in bytes; of a partial blob, the size that was
// claimed for it.
func (b *Blob) Size() uint64 { return b.size }

// InPlace reports whether the bytes are in a file of the user.
func (b *Blob) InPlace() bool { return b.item != nil && b.item.Value.rec.Kind == meta.InPlace }

// Ranges returns the chunks that are there, in whole groups: all of a complete
// blob. Those of a download that goes on grow.
func (b *Blob) Ranges() bao.Ranges {
	switch {
	case b.item == nil || b.item.Value.rec.Complete():
		return bao.All()
	case b.item.Value.live != nil:
		groups, _ := b.item.Value.live.in.Snapshot()
		return groups
	}
	return b.item.Value.rec.Groups
}

// ReadAt reads data, as [io.ReaderAt]. Errors besides io.EOF: [ErrIncomplete]
// if any of the bytes is not there, and then none is read; [ErrChanged] if the
// file of an in-place blob changed; a [DamageError] if our file is too short.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case b.closed.Load():
		return 0, ErrClosed
	case off < 0:
		return 0, errors.New("store: negative offset")
	case b.item == nil:
		return bytes.NewReader(b.inline).ReadAt(p, off)
	case uint64(off) >= b.size:
		return 0, io.EOF
	}
	want := p[:min(uint64(len(p)), b.size-uint64(off))]
	hd := b.item.Value
	if !hd.rec.Complete() {
		start, end := receive.ChunkSpan(uint64(off), uint64(len(want)))
		if !receive.Covers(b.Ranges(), start, end) {
			return 0, ErrIncomplete
		}
	}
	n, err := hd.data.ReadAt(want, off)
	if err := hd.unchanged(); err != nil {
		return 0, err // asked after reading: what was read before a change is good
	}
	switch {
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("store: %w", err)
	case n < len(want):
		return n, &DamageError{Hash: b.hash, Part: "data", Offset: uint64(off) + uint64(n), Err: io.ErrUnexpectedEOF}
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// Outboard returns the blob's outboard: pre-order hash pairs above chunk groups
// of 16 KiB, [bao.OutboardSize] bytes, no prefix. It may be read until the blob
// is closed. Pairs that have not been downloaded read as zeros or end early.
func (b *Blob) Outboard() io.ReaderAt {
	switch {
	case b.item == nil:
		return bytes.NewReader(nil)
	case b.item.Value.outboard != nil:
		return b.item.Value.outboard
	case b.item.Value.live != nil:
		return b.item.Value.live.in.Outboard()
	}
	return bytes.NewReader(b.item.Value.rec.Payload)
}

// Close releases the blob.
func (b *Blob) Close() error {
	if !b.closed.Swap(true) && b.item != nil {
		b.item.Release()
	}
	return nil
}
