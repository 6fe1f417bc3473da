// Package blocks puts IPFS blocks together from the mapping and the store.
//
//	block = prefix ‖ bytes of a blob, from an offset ‖ suffix       a leaf
//	block = what the mapping has                                    an interior node
//
// # Trust
//
// Bytes in files of the store are those that were verified when they came. A file that was added in place is somebody else's: what
// is read of it goes to nobody before it was hashed again. Who cannot verify gets verified blocks ([DAG]).
package blocks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Source answers Bitswap from the mapping and the store:
//
//	want → mapping.Block(multihash) → store.ReadAt(blob, offset, length) → prefix ‖ bytes ‖ suffix
type Source struct {
	Store   *store.Store
	Mapping mapping.Store
	// Left tells of a blob that it was given up, and is nobody's to have by its raw BLAKE3 CID. nil knows of none.
	Left func(ctx context.Context, hash bao.Hash) bool
}

// Block returns a block's bytes, or exchange.ErrNotFound.
func (s Source) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	blk, err := s.find(ctx, c)
	if err != nil {
		return nil, err
	}
	data, foreign, err := s.Read(blk)
	if err != nil {
		return nil, err
	}
	// A file that is not ours may have changed: its bytes are only passed on if they still are the block.
	if foreign {
		if err := Check(c, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// BlockSize returns a block's length without reading it, or exchange.ErrNotFound.
func (s Source) BlockSize(ctx context.Context, c cid.Cid) (int, error) {
	blk, err := s.find(ctx, c)
	if err != nil {
		return 0, err
	}
	return int(blk.Size()), nil
}

func (s Source) find(ctx context.Context, c cid.Cid) (mapping.Block, error) {
	blk, err := s.Mapping.Block(ctx, c.Hash())
	if err == nil {
		return blk, nil
	}
	if !errors.Is(err, mapping.ErrNotFound) {
		return blk, err
	}
	if h, size, ok := s.Blob(ctx, c); ok && size <= maxBlock {
		return mapping.Block{Multihash: c.Hash(), Blob: h, Length: size}, nil
	}
	return blk, fmt.Errorf("%w: %s", exchange.ErrNotFound, c)
}

// Blob finds the blob that a CID with a BLAKE3 multihash names, whether or not anything was stored to say so.
func (s Source) Blob(ctx context.Context, c cid.Cid) (hash bao.Hash, size uint64, ok bool) {
	if hash, ok = mapping.BLAKE3Of(c); !ok {
		return hash, 0, false
	}
	st, err := s.Store.Status(hash)
	ok = err == nil && st.State == store.Complete && (s.Left == nil || !s.Left(ctx, hash))
	return hash, st.Size, ok
}

// Read puts a block together. foreign says that its bytes come from a file that is not the store's own.
func (s Source) Read(blk mapping.Block) (data []byte, foreign bool, err error) {
	if blk.IsNode() {
		return blk.Node, false, nil
	}
	blob, err := s.Store.Open(blk.Blob)
	if err != nil {
		return nil, false, Explain(blk.Blob, err)
	}
	defer blob.Close()
	data = make([]byte, blk.Size())
	n := copy(data, blk.Prefix)
	if _, err := blob.ReadAt(data[n:n+int(blk.Length)], int64(blk.Offset)); err != nil && !(err == io.EOF && blk.Offset+blk.Length == blob.Size()) {
		return nil, false, Explain(blk.Blob, err)
	}
	copy(data[n+int(blk.Length):], blk.Suffix)
	return data, blob.InPlace(), nil
}

// Check hashes a block and compares it with its CID.
func Check(c cid.Cid, data []byte) error {
	got, err := c.Prefix().Sum(data)
	if err != nil {
		return fmt.Errorf("hashing block %s: %w", c, err)
	}
	if string(got.Hash()) != string(c.Hash()) {
		return fmt.Errorf("%w: the bytes here are no longer those of block %s", naming.ErrVerify, c)
	}
	return nil
}

// Explain sorts the store's errors about a blob into the bridge's.
func Explain(hash bao.Hash, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrIncomplete):
		return fmt.Errorf("%w: blob %s: %w", naming.ErrNotFound, hash, err)
	case errors.Is(err, store.ErrChanged):
		return fmt.Errorf("%w: blob %s was added in place, and its file has changed since; put the file back, or remove the content and add it again: %w",
			naming.ErrVerify, hash, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: blob %s is damaged, its file is gone; remove the content, and fetch or add it again: %w", naming.ErrVerify, hash, err)
	}
	return fmt.Errorf("bridge: blob %s: %w", hash, err)
}

// DAG lets the UnixFS walk read what is linked here. Every block is checked against its CID, since what comes
// out goes to somebody who cannot.
type DAG struct{ Source }

// Block returns a verified block.
func (d DAG) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	blk, err := d.find(ctx, c)
	if err != nil {
		return nil, err
	}
	data, _, err := d.Read(blk)
	if err != nil {
		return nil, err
	}
	return data, Check(c, data)
}

// Prefetch does nothing: the disk reads ahead by itself.
func (DAG) Prefetch([]cid.Cid) {}
