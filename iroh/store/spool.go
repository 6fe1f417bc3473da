package store

import (
	"context"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/scan"
)

// Spool adds one blob whose size is not known either: the bytes are kept aside
// and hashed on Commit. It is not safe for concurrent use and must be ended by
// Commit or Abort.
type Spool struct {
	s     *Store
	bytes disk.Spool
}

// NewSpool begins a blob of unknown size.
func (s *Store) NewSpool() (*Spool, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	s.leave()
	return &Spool{s: s, bytes: disk.Spool{Folder: s.folder}}, nil
}

// Write adds bytes. After an error, ENOSPC among others, only Abort is left.
func (sp *Spool) Write(p []byte) (n int, err error) { return sp.bytes.Write(p) }

// Size returns how many bytes were written.
func (sp *Spool) Size() uint64 { return sp.bytes.Size() }

// Commit hashes the blob and publishes it as [Writer.Commit] does; it returns
// its hash and size.
func (sp *Spool) Commit(ctx context.Context) (h bao.Hash, size uint64, err error) {
	defer sp.Abort()
	file, data, err := sp.bytes.Finish()
	switch {
	case err != nil:
	case file == nil:
		h, err = sp.s.Put(ctx, data)
	default:
		h, err = sp.s.commitFile(ctx, file, sp.Size())
	}
	if err != nil {
		return bao.Hash{}, 0, err
	}
	return h, sp.Size(), nil
}

// commitFile hashes a temporary file and makes it a blob.
func (s *Store) commitFile(ctx context.Context, data *os.File, size uint64) (bao.Hash, error) {
	w := &Writer{s: s, size: size, data: data}
	defer w.Abort()
	if err := w.makeTree(); err != nil {
		return bao.Hash{}, err
	}
	if err := scan.Hash(ctx, data, size, w.tree); err != nil {
		return bao.Hash{}, err
	}
	return w.Commit(ctx)
}

// Abort gives the blob up. After Commit it does nothing.
func (sp *Spool) Abort() {
	if err := sp.bytes.Remove(ErrClosed); err != nil {
		sp.s.log.Warn("store: temporary file stays until the next start", "error", err)
	}
}
