package store

import (
	"context"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Verify reads all that is there of a blob, data and outboard, and checks it
// against the hash, on all cores. What does not match is a [DamageError] that
// names the first bad place. Other errors: [ErrNotFound], [ErrChanged], the
// context's, I/O. The missing part of a partial blob is not damage.
func (s *Store) Verify(ctx context.Context, h bao.Hash) error {
	b, err := s.Open(h)
	if err != nil {
		return err
	}
	defer b.Close()
	if b.item == nil {
		if bao.Sum(b.inline) != h {
			return &DamageError{Hash: h, Part: "data", Err: bao.ErrHashMismatch}
		}
		return nil
	}
	return b.item.Value.Verify(ctx)
}
