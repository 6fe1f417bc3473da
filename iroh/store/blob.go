package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/lru"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/reading"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
)

// Blob is a blob that is open for reading, complete or partial. It is safe for
// concurrent use and must be closed. Its bytes stay readable even when the
// blob is deleted or replaced meanwhile. The bytes are as the disk has them:
// who reads verifies them, by [bao.Encode] or by a hash of his own.
type Blob struct {
	hash   bao.Hash
	item   *lru.Item[bao.Hash, *reading.Files] // nil when inline
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
	return &Blob{hash: h, item: item, size: item.Value.Record().Size}
}

// open opens the files of a blob. The caller holds the lock of its hash, so
// that they do not move.
func (e *entry) open(h bao.Hash) (*reading.Files, error) {
	var live *receive.Receiver
	if e.live != nil {
		live = e.live.in
	}
	return reading.Open(h, e.rec, e.data, e.outboard, live)
}

// Hash returns the blob's hash.
func (b *Blob) Hash() bao.Hash { return b.hash }

// Size returns the blob's size in bytes; of a partial blob, the size that was
// claimed for it.
func (b *Blob) Size() uint64 { return b.size }

// InPlace reports whether the bytes are in a file of the user.
func (b *Blob) InPlace() bool { return b.item != nil && b.item.Value.Record().Kind == meta.InPlace }

// Ranges returns the chunks that are there, in whole groups: all of a complete
// blob. Those of a download that goes on grow.
func (b *Blob) Ranges() bao.Ranges {
	if b.item == nil {
		return bao.All()
	}
	return b.item.Value.Ranges()
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
	}
	return b.item.Value.ReadAt(p, off)
}

// Outboard returns the blob's outboard: pre-order hash pairs above chunk groups
// of 16 KiB, [bao.OutboardSize] bytes, no prefix. It may be read until the blob
// is closed. Pairs that have not been downloaded read as zeros or end early.
func (b *Blob) Outboard() io.ReaderAt {
	if b.item == nil {
		return bytes.NewReader(nil)
	}
	return b.item.Value.Outboard()
}

// Close releases the blob.
func (b *Blob) Close() error {
	if !b.closed.Swap(true) && b.item != nil {
		b.item.Release()
	}
	return nil
}
