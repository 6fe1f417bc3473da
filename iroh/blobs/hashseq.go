package blobs

import (
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// ReadHashSeq reads a hash sequence of at most limit bytes out of a store, and verifies it. Errors: [ErrHashSeq], [ErrTooLarge], those of
// the store.
func ReadHashSeq(from *store.Store, root bao.Hash, limit uint64) ([]bao.Hash, error) {
	blob, err := from.Open(root)
	if err != nil {
		return nil, fmt.Errorf("blobs: %s: %w", root.ShortString(), err)
	}
	defer func() { _ = blob.Close() }()
	size := blob.Size()
	switch {
	case size%hashSize != 0:
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrHashSeq, root.ShortString(), size)
	case size > limit:
		return nil, fmt.Errorf("%w: %s has %d children", ErrTooLarge, root.ShortString(), size/hashSize)
	}
	data := make([]byte, size)
	if _, err := blob.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("blobs: %s: %w", root.ShortString(), err)
	}
	if bao.Sum(data) != root {
		return nil, fmt.Errorf("blobs: %s: %w", root.ShortString(), store.ErrDamaged)
	}
	return ParseHashSeq(data)
}
