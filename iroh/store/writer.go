package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
)

// Writer adds one blob whose size is known and whose hash is not. The caller
// hashes the pieces ([bao.HashPiece]), in parallel if it likes, and adds them
// in order; each is one write to the file. A Writer is not safe for concurrent
// use. Nothing is visible before Commit; a Writer must be ended by Commit or
// Abort.
type Writer struct {
	s    *Store
	size uint64
	tree *bao.Tree
	err  error // the first failure, or ErrClosed after the end

	source   *meta.Source      // in place: the user's file
	inline   []byte            // the data of a small blob
	data     *os.File          // the data of a large one
	outboard *receive.Outboard // nil for an inline blob
}

// NewWriter begins a blob of size bytes that is copied into the store. Errors:
// [ErrSize], I/O.
func (s *Store) NewWriter(size uint64) (*Writer, error) {
	if size > meta.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrSize, size)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	w := &Writer{s: s, size: size}
	if int64(size) <= int64(s.cfg.InlineMax) {
		w.inline = make([]byte, 0, size)
		w.tree = bao.NewTree(size, nil)
		return w, nil
	}
	data, err := s.folder.Create(".data")
	if err != nil {
		return nil, err
	}
	w.data = data
	if err := w.makeTree(); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// NewInPlaceWriter begins a blob whose bytes stay in the user's file. info is
// what stat said before the first byte was read; Commit fails with [ErrChanged]
// if it says otherwise then.
func (s *Store) NewInPlaceWriter(path string, info os.FileInfo) (*Writer, error) {
	path, err := filepath.Abs(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("store: %s is not a regular file", path)
	case len(path) > meta.MaxPath:
		return nil, fmt.Errorf("store: path of %d bytes is too long", len(path))
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	w := &Writer{s: s, size: uint64(info.Size()), source: &meta.Source{Path: path, Ident: meta.IdentOf(info)}}
	if err := w.makeTree(); err != nil {
		return nil, err
	}
	return w, nil
}

// makeTree makes the outboard and the tree that fills it.
func (w *Writer) makeTree() (err error) {
	if w.outboard, err = receive.NewOutboard(w.s.folder, w.size); err == nil {
		w.tree = bao.NewTree(w.size, w.outboard)
	}
	return err
}

// Add takes the next piece and its bytes, which may be reused afterwards. In
// place the bytes are not looked at and may be nil. After an error, ENOSPC
// among others, only Abort is left.
func (w *Writer) Add(piece bao.Piece, data []byte) error {
	if w.err == nil {
		w.err = w.add(piece, data)
	}
	return w.err
}

func (w *Writer) add(piece bao.Piece, data []byte) error {
	if err := w.tree.Add(piece); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if w.source != nil {
		return nil
	}
	if uint64(len(data)) != piece.Len() {
		return fmt.Errorf("store: piece of %d bytes came with %d bytes of data", piece.Len(), len(data))
	}
	if w.data == nil {
		w.inline = append(w.inline, data...)
		return nil
	}
	if err := w.s.folder.Take(len(data), false); err != nil {
		return err
	}
	if _, err := w.data.Write(data); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Commit publishes the blob: when it returns, the blob can be read and is
// never seen half, but it survives a crash or power cut for sure only after the
// next [Store.Sync]. A blob that is there already stays as it is, except that a
// copied one replaces one added in place, and one added in place an older one.
// Errors: [ErrChanged], a piece missing, I/O; then nothing is stored.
func (w *Writer) Commit(ctx context.Context) (bao.Hash, error) {
	defer w.Abort()
	if err := w.s.enter(); err != nil {
		return bao.Hash{}, err
	}
	defer w.s.leave()
	h, err := w.Root()
	if err != nil {
		return bao.Hash{}, err
	}
	if w.outboard == nil {
		err = w.s.commitInline(h, w.inline)
	} else {
		err = w.commitFiles(ctx, h)
	}
	if err != nil {
		return bao.Hash{}, err
	}
	return h, nil
}

// Root returns the hash that the blob has, once all pieces were added, so that
// a reference to it can be taken before [Writer.Commit]. Errors: a piece
// missing.
func (w *Writer) Root() (bao.Hash, error) {
	if w.err != nil {
		return bao.Hash{}, w.err
	}
	h, err := w.tree.Root()
	if err != nil {
		return bao.Hash{}, fmt.Errorf("store: %w", err)
	}
	return h, nil
}

// commitFiles closes the files and hands them to the store.
func (w *Writer) commitFiles(ctx context.Context, h bao.Hash) error {
	st := &staged{rec: meta.Record{Kind: meta.Stored, Size: w.size, Payload: w.outboard.Inline()}}
	if w.source != nil {
		info, err := os.Stat(w.source.Path)
		if err := w.source.Check(info, err); err != nil {
			return err
		}
		st.rec.Kind, st.rec.Source = meta.InPlace, *w.source
	}
	for f, name := range map[*os.File]*string{w.data: &st.temp.Data, w.outboard.File(): &st.temp.Outboard} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("store: %w", err) // Abort removes the files
		}
		*name = f.Name()
	}
	if err := w.s.commit(ctx, h, st); err != nil {
		return err
	}
	w.data, w.outboard = nil, nil // they are the store's now
	return nil
}

// Abort gives the blob up and removes what was written. After Commit it does
// nothing.
func (w *Writer) Abort() {
	w.s.closeFile(w.data)
	if w.outboard != nil {
		w.s.closeFile(w.outboard.File())
	}
	w.data, w.outboard, w.inline = nil, nil, nil
	if w.err == nil {
		w.err = ErrClosed
	}
}
