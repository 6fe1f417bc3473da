package exchange

import (
	"context"
	"errors"
	"log/slog"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// errReadOnly answers what Bitswap never asks for.
var errReadOnly = errors.New("exchange: the blocks can only be read")

// blockstore is a [Blocks] as boxo's server reads it. It has what a peer may
// have; all else it does not have.
type blockstore struct {
	blocks Blocks
	log    *slog.Logger
}

// GetSize returns a block's length, or ipld.ErrNotFound. An empty block has
// length 1 here: boxo's server takes 0 for a block that is not there, and uses
// the length for its queue only.
func (b blockstore) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	if CheckCID(c) != nil {
		return 0, ipld.ErrNotFound{Cid: c}
	}
	if data, ok := identity(c); ok {
		return max(len(data), 1), nil
	}
	n, err := b.blocks.BlockSize(ctx, c)
	if err == nil {
		err = checkSize(c, n)
	}
	if err != nil {
		return 0, b.notFound(c, err)
	}
	return max(n, 1), nil
}

// Has tells whether there is a block.
func (b blockstore) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := b.GetSize(ctx, c)
	if ipld.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Get returns a block, or ipld.ErrNotFound.
func (b blockstore) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if CheckCID(c) != nil {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	if data, ok := identity(c); ok {
		return blocks.NewBlockWithCid(data, c)
	}
	data, err := b.blocks.Block(ctx, c)
	if err == nil {
		err = checkSize(c, len(data))
	}
	if err != nil {
		return nil, b.notFound(c, err)
	}
	return blocks.NewBlockWithCid(data, c)
}

// notFound is what a peer learns: that we have no such block, also when we
// cannot read it. The operator learns more.
func (b blockstore) notFound(c cid.Cid, err error) error {
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, context.Canceled) {
		b.log.Warn("block not served", "cid", c, "err", err)
	}
	return ipld.ErrNotFound{Cid: c}
}

// Put, and what follows, is not for Bitswap to do.
func (blockstore) Put(context.Context, blocks.Block) error       { return errReadOnly }
func (blockstore) PutMany(context.Context, []blocks.Block) error { return errReadOnly }
func (blockstore) DeleteBlock(context.Context, cid.Cid) error    { return errReadOnly }
func (blockstore) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	return nil, errReadOnly
}

// sized stands for a block where boxo's server asks only how long it is: when it is told that the block is here. What it
// sends it reads from the blockstore.
type sized struct {
	cid    cid.Cid
	zeroes []byte // as many as the block has bytes
}

func (s sized) Cid() cid.Cid             { return s.cid }
func (s sized) RawData() []byte          { return s.zeroes }
func (s sized) String() string           { return "[Block " + s.cid.String() + "]" }
func (s sized) Loggable() map[string]any { return map[string]any{"block": s.cid.String()} }
