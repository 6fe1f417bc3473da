package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/importer"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

// ImportRequest names IPFS content to be brought into the iroh node.
type ImportRequest struct {
	Path string   `json:"path" doc:"CID, /ipfs/CID or /ipfs/CID/path/within"`
	From []string `json:"from,omitempty" doc:"multiaddrs with /p2p/ of peers to ask first"`
}

// Import walks a UnixFS DAG once, in file order:
//
//	CID → exchange session → file bytes in order → store.Writer (BLAKE3) ‖ layout records → mapping.Commit
//
// Every block is verified against its CID before its bytes are used, and the DAG's own shape is kept whatever it is,
// so that the same CID can be served again.
func (b *Bridge) Import(ctx context.Context, req ImportRequest, p Progress) (Content, error) {
	root, within, err := parseIPFSPath(req.Path)
	if err != nil {
		return Content{}, err
	}
	if len(within) == 0 {
		if l, err := b.mapping.Link(ctx, root); err == nil {
			l.CID = root // the link may have come as the CID's other version
			return b.describe(l), nil
		}
	}
	n := b.online()
	if n == nil {
		return Content{}, errors.New("bridge: the network is not up")
	}
	session, err := n.session(ctx, b, req.From)
	if err != nil {
		return Content{}, err
	}
	defer session.Close()
	for i, segment := range within {
		p.Item("/ipfs/"+root.String()+"/"+strings.Join(within[:i+1], "/"), -1)
		if root, err = unixfs.Lookup(ctx, root, segment, session); err != nil {
			return Content{}, importError(root, err)
		}
	}
	r, end, err := b.record(ctx, nil)
	if err != nil {
		return Content{}, err
	}
	defer end()
	v := importer.New(ctx, b.store, r, p)
	defer v.Abandon()
	if err := unixfs.Walk(ctx, root, session, v, b.importLimits()); err != nil {
		return Content{}, importError(root, err)
	}
	link, err := r.Commit(ctx, root, v.Folder())
	if err != nil {
		return Content{}, importError(root, err)
	}
	return b.linked(link), nil
}

// parseIPFSPath splits CID, /ipfs/CID or /ipfs/CID/a/b.
func parseIPFSPath(text string) (cid.Cid, []string, error) {
	trimmed := strings.TrimPrefix(strings.TrimPrefix(text, "ipfs://"), "/ipfs/")
	if strings.HasPrefix(text, "/ipns/") || strings.HasPrefix(text, "ipns://") {
		return cid.Undef, nil, fmt.Errorf("%w: IPNS names are not resolved here; resolve %s first and import the CID", ErrInvalid, recording.Quote(text))
	}
	parts := strings.Split(strings.TrimSuffix(trimmed, "/"), "/")
	c, err := cid.Decode(parts[0])
	if err != nil {
		return cid.Undef, nil, fmt.Errorf("%w: %s does not begin with a CID: %w", ErrInvalid, recording.Quote(text), err)
	}
	return c, parts[1:], nil
}

// importError sorts the walk's errors into the bridge's.
func importError(root cid.Cid, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, exchange.ErrNotFound), errors.Is(err, unixfs.ErrNoSuchName):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, unixfs.ErrNotUnixFS), errors.Is(err, unixfs.ErrMalformed), errors.Is(err, unixfs.ErrName), errors.Is(err, unixfs.ErrLimit), errors.Is(err, exchange.ErrRefused):
		return fmt.Errorf("%w: %s is no file or folder within the limits for an import: %w", ErrContent, root, err)
	}
	return fmt.Errorf("importing %s: %w", root, err)
}

// importLimits bounds a walk over what strangers have.
func (b *Bridge) importLimits() unixfs.Limits {
	c := b.cfg.Import
	return unixfs.Limits{Depth: recording.MaxDepth, Blocks: c.MaxBlocks, Bytes: c.MaxBytes, Repeats: c.MaxRepeatedBlocks, RepeatBytes: c.MaxRepeatedBytes}
}

// localLimits bounds a walk over what is linked here, which may be what was added: that can repeat itself as it likes.
func (b *Bridge) localLimits() unixfs.Limits {
	l := b.importLimits()
	l.Repeats, l.RepeatBytes = l.Blocks, l.Bytes
	return l
}
