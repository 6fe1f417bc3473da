package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Content describes one linked thing in both networks' words: what add, expose and import answer.
type Content struct {
	CID    string `json:"cid" doc:"root CID" example:"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"`
	Hash   string `json:"hash" doc:"BLAKE3 hash of the blob, or of the collection's hash sequence" example:"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"`
	Format string `json:"format" enum:"blob,collection,hashseq" doc:"what the hash names"`
	Size   uint64 `json:"size" doc:"file bytes"`
	Blocks uint64 `json:"blocks" doc:"IPFS blocks, counted as often as they occur"`
	Ticket string `json:"ticket" doc:"iroh blob ticket of this bridge"`
	// Notes say what one of the two networks cannot express; the CID keeps it all the same.
	Notes []string `json:"notes,omitempty" doc:"what an iroh collection cannot say and only the CID carries"`
	// Warning says what a name may mean that could mean two things.
	Warning string `json:"warning,omitempty" doc:"what the hash may be that was taken for a blob's"`
	// Kept is there for what has no CID and is kept all the same.
	Kept *native.Kept `json:"kept,omitempty" doc:"why content without a CID is here"`
}

// Mapped is what map answers: one content's names.
type Mapped struct {
	CID    string   `json:"cid"`
	Hash   string   `json:"hash" doc:"BLAKE3 hash; empty for a folder inside other content, which has none before it is imported by itself"`
	Format string   `json:"format" enum:"blob,collection,hashseq"`
	Size   uint64   `json:"size" doc:"file bytes"`
	CIDs   []string `json:"cids" doc:"every CID known for this content"`
}

// Progress hears how a long operation goes. Its methods are called from the operation's goroutine and must be quick.
type Progress interface {
	// Item names what is worked on now: a path, a CID or a hash; size is -1 when it is not known.
	Item(name string, size int64)
	// Bytes counts the file bytes done since the last call.
	Bytes(n uint64)
}

// Silent is a Progress that nobody listens to.
type Silent struct{}

// Item implements Progress.
func (Silent) Item(string, int64) {}

// Bytes implements Progress.
func (Silent) Bytes(uint64) {}

func (b *Bridge) describe(l mapping.Link) Content {
	c := Content{CID: l.CID.String(), Hash: hashText(l.Hash), Format: string(l.Format), Size: l.Size, Blocks: l.Blocks, Notes: l.Notes}
	if c.Hash != "" {
		c.Ticket = native.TicketOf(l.Hash, native.IrohFormat(l.Format), b.ownAddr())
	}
	return c
}

// hashText writes a link's hash; a part of a link may have none.
func hashText(h bao.Hash) string {
	if h == (bao.Hash{}) {
		return ""
	}
	return h.String()
}

// find resolves a target to its link. For a file or folder inside a linked folder the link returned is one made up for
// it: Layout is zero, and Hash too for a folder.
func (b *Bridge) find(ctx context.Context, t naming.Target) (l mapping.Link, err error) {
	defer func() { err = mappingError(err) }()
	if t.CID.Defined() {
		return b.findCID(ctx, t.CID)
	}
	refs, err := b.mapping.Refs(ctx, t.Hash)
	if err != nil {
		return mapping.Link{}, err
	}
	// A link of its own is preferred over a file inside somebody's folder.
	for _, r := range refs {
		if l, err := b.mapping.Link(ctx, r.Link); err == nil && l.Hash == t.Hash {
			return l, nil
		}
	}
	for _, r := range refs {
		if r.CID.Defined() {
			return b.fileLink(ctx, r)
		}
	}
	if items, err := b.stock.Keeper.Find(t.Hash); err == nil && slices.ContainsFunc(items, keeping.Item.Kept) {
		return mapping.Link{}, fmt.Errorf("%w: what has hash %s is kept without a CID; `bridge expose %[2]s` gives it one", ErrNotFound, t.Hash)
	}
	return mapping.Link{}, fmt.Errorf("%w: no content with hash %s is linked here; fetch it with `bridge expose TICKET`", ErrNotFound, t.Hash)
}

func (b *Bridge) findCID(ctx context.Context, c cid.Cid) (mapping.Link, error) {
	l, err := b.mapping.Link(ctx, c)
	if !errors.Is(err, mapping.ErrNotFound) {
		return l, err
	}
	r, err := b.mapping.File(ctx, c)
	if err == nil {
		return b.fileLink(ctx, r)
	}
	if !errors.Is(err, mapping.ErrNotFound) {
		return l, err
	}
	if h, size, ok := b.blocks().Blob(ctx, c); ok && c.Type() == cid.Raw {
		return mapping.Link{CID: c, Hash: h, Format: mapping.FormatBlob, Size: size, Blocks: 1}, nil
	}
	return b.within(ctx, c)
}

func (b *Bridge) fileLink(ctx context.Context, r mapping.Ref) (mapping.Link, error) {
	st, err := b.store.Status(r.Hash)
	if err != nil {
		return mapping.Link{}, err
	}
	return mapping.Link{CID: r.CID, Hash: r.Hash, Format: mapping.FormatBlob, Size: st.Size}, nil
}

// Map tells every name of a content.
func (b *Bridge) Map(ctx context.Context, text string) (Mapped, error) {
	t, err := naming.ParseTarget(text)
	if err != nil {
		return Mapped{}, err
	}
	l, err := b.find(ctx, t)
	if err != nil {
		return Mapped{}, err
	}
	m := Mapped{CID: l.CID.String(), Hash: hashText(l.Hash), Format: string(l.Format), Size: l.Size}
	if m.Hash == "" {
		m.CIDs = []string{m.CID}
		return m, nil
	}
	refs, err := b.mapping.Refs(ctx, l.Hash)
	if err != nil {
		return Mapped{}, err
	}
	seen := map[cid.Cid]bool{}
	add := func(c cid.Cid) {
		if c.Defined() && !seen[c] {
			seen[c] = true
			m.CIDs = append(m.CIDs, c.String())
		}
	}
	add(l.CID)
	for _, r := range refs {
		add(r.CID)
	}
	if c, ok := mapping.BLAKE3CID(l.Hash, l.Size); ok && l.Format == mapping.FormatBlob {
		add(c)
	}
	return m, nil
}

// List calls yield for every link, then for everything kept without one, until it returns false.
func (b *Bridge) List(ctx context.Context, yield func(Content) bool) error {
	for l, err := range b.mapping.Links(ctx) {
		if err != nil {
			return mappingError(err)
		}
		if !yield(b.describe(l)) {
			return nil
		}
	}
	items, err := b.stock.Keeper.Items()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for _, i := range items {
		kept, err := b.stock.Describe(i, b.ownAddr())
		if err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		if !yield(Content{Hash: kept.Hash, Format: kept.Format, Size: kept.Size, Ticket: kept.Ticket, Kept: &kept.Kept}) {
			return ctx.Err()
		}
	}
	return nil
}

// profileOf names the layout that new content gets.
func profileOf(name string) (*unixfs.Profile, error) {
	if name == "" {
		name = defaultProfile
	}
	p, err := unixfs.ProfileByName(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if bao.PieceSize%p.ChunkSize != 0 {
		return nil, fmt.Errorf("%w: profile %s has chunks that do not divide a piece", ErrInvalid, name)
	}
	return &p, nil
}
