package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/mapping"
)

// within finds what has no link and no row of its own, and whose blocks are here all the same: a folder inside linked
// content, or a piece of a file. The link returned is made up: it has no layout and no hash, since in iroh's words a part
// of a collection is nothing. Size is that of all files below.
func (b *Bridge) within(ctx context.Context, c cid.Cid) (mapping.Link, error) {
	v := &part{b: b, ctx: ctx}
	e, err := v.list(c, 0)
	switch {
	case errors.Is(err, exchange.ErrNotFound), errors.Is(err, unixfs.ErrNotUnixFS):
		return mapping.Link{}, fmt.Errorf("%w: %s is not linked here; bring it in with `bridge import %s`", ErrNotFound, c, c)
	case err != nil:
		return mapping.Link{}, err
	}
	l := mapping.Link{CID: c, Format: mapping.FormatBlob, Size: e.Size}
	if e.Kind == unixfs.KindDirectory {
		l.Format, l.Size = mapping.FormatCollection, v.size
	}
	return l, nil
}

// part adds up the files of a folder without reading them.
type part struct {
	b       *Bridge
	ctx     context.Context
	entries int
	size    uint64
}

func (p *part) list(c cid.Cid, depth int) (unixfs.Entry, error) {
	if depth > recording.MaxDepth {
		return unixfs.Entry{}, fmt.Errorf("%w: %s is nested more than %d folders deep", ErrInvalid, c, recording.MaxDepth)
	}
	return unixfs.List(p.ctx, c, localDAG{p.b}, unixfs.Limits{Blocks: p.b.cfg.Import.MaxBlocks}, func(_ string, c cid.Cid) error {
		if p.entries++; p.entries > recording.MaxEntries {
			return fmt.Errorf("%w: more than %d files and folders in one tree", ErrInvalid, recording.MaxEntries)
		}
		r, err := p.b.mapping.File(p.ctx, c)
		if err == nil {
			st, err := p.b.store.Status(r.Hash)
			p.size += st.Size
			return err
		}
		if !errors.Is(err, mapping.ErrNotFound) {
			return err
		}
		_, err = p.list(c, depth+1)
		return err
	})
}
