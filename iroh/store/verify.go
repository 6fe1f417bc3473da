package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/scan"
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
	if err := b.checkLength(); err != nil {
		return err
	}
	err = scan.Verify(ctx, h, b.size, b, b.Outboard(), b.Ranges())
	var corrupt *bao.CorruptError
	switch {
	case err == nil, errors.Is(err, ErrChanged), errors.Is(err, ErrDamaged):
		return err
	case errors.As(err, &corrupt):
		part := "data"
		if corrupt.Kind == bao.Parent {
			part = "outboard"
		}
		return &DamageError{Hash: h, Part: part, Offset: corrupt.Offset, Err: corrupt.Err}
	}
	return fmt.Errorf("store: verifying blob %s: %w", h, err)
}

// checkLength says whether the data of a complete blob of ours is longer or
// shorter than it should be. What the user's file has is checked by every read.
func (b *Blob) checkLength() error {
	hd := b.item.Value
	if hd.rec.Kind != meta.Stored {
		return nil
	}
	info, err := hd.data.Stat()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if n := uint64(info.Size()); n != b.size {
		return &DamageError{Hash: b.hash, Part: "data", Offset: min(b.size, n), Err: fmt.Errorf("file has %d bytes instead of %d", n, b.size)}
	}
	return nil
}
