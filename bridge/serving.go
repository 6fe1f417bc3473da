package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// blockSource answers Bitswap from the mapping and the store:
//
//	want → mapping.Block(multihash) → store.ReadAt(blob, offset, length) → prefix ‖ bytes ‖ suffix
type blockSource struct{ b *Bridge }

// Block returns a block's bytes, or exchange.ErrNotFound.
func (s blockSource) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	blk, err := s.find(ctx, c)
	if err != nil {
		return nil, err
	}
	data, foreign, err := s.b.readBlock(blk)
	if err != nil {
		return nil, err
	}
	// A file that is not ours may have changed: its bytes are only passed on if they still are the block.
	if foreign {
		if err := checkBlock(c, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// BlockSize returns a block's length without reading it, or exchange.ErrNotFound.
func (s blockSource) BlockSize(ctx context.Context, c cid.Cid) (int, error) {
	blk, err := s.find(ctx, c)
	if err != nil {
		return 0, err
	}
	return int(blk.Size()), nil
}

func (s blockSource) find(ctx context.Context, c cid.Cid) (mapping.Block, error) {
	blk, err := s.b.mapping.Block(ctx, c.Hash())
	if err == nil {
		return blk, nil
	}
	if !errors.Is(err, mapping.ErrNotFound) {
		return blk, err
	}
	if h, ok := mapping.BLAKE3Of(c); ok {
		if st, err := s.b.store.Status(h); err == nil && st.State == store.Complete && st.Size <= maxBlock {
			return mapping.Block{Multihash: c.Hash(), Blob: h, Length: st.Size}, nil
		}
	}
	return blk, fmt.Errorf("%w: %s", exchange.ErrNotFound, c)
}

// readBlock puts a block together. foreign says that its bytes come from a file that is not the store's own.
func (b *Bridge) readBlock(blk mapping.Block) (data []byte, foreign bool, err error) {
	if blk.IsNode() {
		return blk.Node, false, nil
	}
	blob, err := b.store.Open(blk.Blob)
	if err != nil {
		return nil, false, storeError(blk.Blob, err)
	}
	defer blob.Close()
	data = make([]byte, blk.Size())
	n := copy(data, blk.Prefix)
	if _, err := blob.ReadAt(data[n:n+int(blk.Length)], int64(blk.Offset)); err != nil && !(err == io.EOF && blk.Offset+blk.Length == blob.Size()) {
		return nil, false, storeError(blk.Blob, err)
	}
	copy(data[n+int(blk.Length):], blk.Suffix)
	return data, blob.InPlace(), nil
}

// checkBlock hashes a block and compares it with its CID.
func checkBlock(c cid.Cid, data []byte) error {
	got, err := c.Prefix().Sum(data)
	if err != nil {
		return fmt.Errorf("hashing block %s: %w", c, err)
	}
	if string(got.Hash()) != string(c.Hash()) {
		return fmt.Errorf("%w: the bytes here are no longer those of block %s", ErrVerify, c)
	}
	return nil
}

// storeError sorts the store's errors into the bridge's.
func storeError(hash bao.Hash, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrIncomplete):
		return fmt.Errorf("%w: blob %s: %w", ErrNotFound, hash, err)
	case errors.Is(err, store.ErrChanged), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: blob %s was added in place, and its file has changed since; put the file back, or remove the content and add it again: %w",
			ErrVerify, hash, err)
	}
	return fmt.Errorf("bridge: blob %s: %w", hash, err)
}

// localDAG lets the UnixFS walk read what is linked here. Every block is checked against its CID, since what comes
// out goes to somebody who cannot.
type localDAG struct{ b *Bridge }

// Block returns a verified block.
func (l localDAG) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	blk, err := blockSource(l).find(ctx, c)
	if err != nil {
		return nil, err
	}
	data, _, err := l.b.readBlock(blk)
	if err != nil {
		return nil, err
	}
	return data, checkBlock(c, data)
}

// Prefetch does nothing: the disk reads ahead by itself.
func (localDAG) Prefetch([]cid.Cid) {}
