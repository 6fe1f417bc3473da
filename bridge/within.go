package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/mapping"
)

// within finds what has no link and no row of its own, and whose blocks are here all the same: a folder inside linked
// content, or a piece of a file. The link returned is made up: it has no layout and no hash, since in iroh's words a part
// of a collection is nothing. Size is that of all files below.
func (b *Bridge) within(ctx context.Context, c cid.Cid) (mapping.Link, error) {
	e, err := unixfs.Total(ctx, c, blocks.DAG{Source: b.blocks()}, b.localLimits(), recording.MaxEntries, func(c cid.Cid) (uint64, bool, error) {
		r, err := b.mapping.File(ctx, c)
		if errors.Is(err, mapping.ErrNotFound) {
			return 0, false, nil
		} else if err != nil {
			return 0, false, err
		}
		st, err := b.store.Status(r.Hash)
		return st.Size, true, err
	})
	if errors.Is(err, exchange.ErrNotFound) || errors.Is(err, unixfs.ErrNotUnixFS) {
		return mapping.Link{}, fmt.Errorf("%w: %s is not linked here; bring it in with `bridge import %s`", ErrNotFound, c, c)
	}
	l := mapping.Link{CID: c, Format: mapping.FormatBlob, Size: e.Size}
	if e.Kind == unixfs.KindDirectory {
		l.Format = mapping.FormatCollection
	}
	return l, err
}
