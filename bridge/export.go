package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/tarball"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Export is content about to be handed out: a file's bytes, or a folder as a tar stream.
type Export struct {
	content Content
	folder  bool

	b    *Bridge
	ctx  context.Context // of the request that this export answers
	root cid.Cid
}

// Folder says that WriteTo writes a tar stream; a file's bytes are written as they are.
func (e *Export) Folder() bool { return e.folder }

// Describe names the content.
func (e *Export) Describe() Content { return e.content }

// Close lets go of the content.
func (e *Export) Close() error { return nil }

// Open finds content by CID, hash or ticket. What a ticket names is first exposed if it is not here.
func (b *Bridge) Open(ctx context.Context, text string, p Progress) (*Export, error) {
	t, err := naming.ParseTarget(text)
	if err != nil {
		return nil, err
	}
	l, err := b.find(ctx, t)
	if errors.Is(err, ErrNotFound) && t.Ticket != nil {
		if _, err := b.Expose(ctx, ExposeRequest{Ticket: text}, p); err != nil {
			return nil, err
		}
		l, err = b.find(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return &Export{content: b.describe(l), folder: l.Format != mapping.FormatBlob, b: b, ctx: ctx, root: l.CID}, nil
}

// WriteTo writes the content, every block of it verified against its CID just before. It may be called once.
func (e *Export) WriteTo(w io.Writer) (int64, error) {
	v := tarball.New(e.ctx, w, e.folder)
	err := unixfs.Walk(e.ctx, e.root, blocks.DAG{Source: e.b.blocks()}, v, e.b.localLimits())
	if err == nil {
		err = v.Close()
	}
	if err != nil {
		return v.Written(), fmt.Errorf("reading %s: %w", e.root, err)
	}
	return v.Written(), nil
}
