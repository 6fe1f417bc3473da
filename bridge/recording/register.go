package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// A Register is the second record of what is linked, for the day when the mapping is lost: a tag in the blob store for
// each link, which names the link's layout. What merely looks like a layout, such as a file that somebody added, has no
// such tag, and the tag goes with the link.
//
//	tag              stands for
//	bridge/links     nothing; every link has its tag
//	bridge/link/HEX  the layout with that hash
//	bridge/lost/HEX  the same, of a link that the mapping does not have, and whose bytes did not verify
//
// A tag is durable before its link can be seen, and goes, durably, before its link does. So a tag without a link stands
// for one that the mapping has lost, or one that a crash kept from being seen in the last moment; it is whole in either
// case, and comes back. A removal that a crash cuts short leaves the link without its tag, to be removed again.
type Register struct {
	store   *store.Store
	mapping mapping.Store
	// locks keep a link's commit and its removal apart, tag and row together.
	locks [registerLocks]sync.Mutex
}

const (
	completeTag = "bridge/links"
	linkTag     = "bridge/link/"
	lostTag     = "bridge/lost/"

	// registerLocks is how many links can change at once, give or take chance: a commit holds one while the disk writes.
	registerLocks = 256
)

// NewRegister is the register of the links of m in s.
func NewRegister(s *store.Store, m mapping.Store) *Register { return &Register{store: s, mapping: m} }

// Registered tells whether every link has its tag, and so whether there was a mapping.
func Registered(s *store.Store) (bool, error) {
	_, err := s.Tag(completeTag)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Complete gives a tag to every link there is, and notes that all have one: once for a data folder.
func (g *Register) Complete(ctx context.Context) error {
	for l, err := range g.mapping.Links(ctx) {
		if err == nil {
			err = g.enter(l.Layout)
		}
		if err != nil {
			return err
		}
	}
	return g.store.SetTag(completeTag, bao.EmptyHash(), ticket.Raw)
}

// enter sets the tag of a link, durable after the store's next Sync.
func (g *Register) enter(layout bao.Hash) error {
	if layout == (bao.Hash{}) {
		return nil // no rows, nothing to rebuild
	}
	return errors.Join(g.untag(lostTag, layout), g.store.SetTag(linkTag+layout.String(), layout, ticket.Raw))
}

// Layouts lists the layouts of everything linked.
func (g *Register) Layouts() ([]bao.Hash, error) {
	var all []bao.Hash
	for tag, err := range g.store.TagsUnder(linkTag) {
		if err != nil {
			return nil, err
		}
		all = append(all, tag.Hash)
	}
	return all, nil
}

// holds tells whether a layout is that of a link, as far as the register knows.
func (g *Register) holds(layout bao.Hash) (bool, error) { return g.tagged(linkTag, layout) }

// Doubt notes that a link which is lost did not verify: it is not to come back before it does.
func (g *Register) Doubt(layout bao.Hash) error {
	return g.store.SetTag(lostTag+layout.String(), layout, ticket.Raw)
}

// Doubted tells whether a link is lost and did not verify.
func (g *Register) Doubted(layout bao.Hash) (bool, error) { return g.tagged(lostTag, layout) }

func (g *Register) tagged(kind string, layout bao.Hash) (bool, error) {
	_, err := g.store.Tag(kind + layout.String())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Drop takes a layout out of the register if it is in there: its link is gone, and the layout about to go.
func (g *Register) Drop(layout bao.Hash) error {
	return errors.Join(g.untag(lostTag, layout), g.untag(linkTag, layout))
}

func (g *Register) untag(kind string, layout bao.Hash) error {
	if there, err := g.tagged(kind, layout); err != nil || !there {
		return err // the usual case: it is any other blob's hash
	}
	return g.store.DeleteTag(kind + layout.String())
}

// commit makes a link visible, and before that its tag durable, and before that all its blobs: a tag without its blobs
// would be a link that is lost for ever.
func (g *Register) commit(ctx context.Context, tx mapping.Tx, l mapping.Link) error {
	defer g.lock(l.CID)()
	before, err := g.mapping.Link(ctx, l.CID)
	if err != nil && !errors.Is(err, mapping.ErrNotFound) {
		return err
	}
	if err := g.store.Sync(ctx); err != nil {
		return err
	}
	if err := g.enter(l.Layout); err != nil {
		return err
	}
	if err := g.store.Sync(ctx); err != nil {
		return err
	}
	if err := tx.Commit(ctx, l); err != nil {
		return err
	}
	if before.Layout != l.Layout {
		return g.Drop(before.Layout)
	}
	return nil
}

// Lost tells whether the register has a link and the mapping has not.
func (g *Register) Lost(ctx context.Context, l mapping.Link) (bool, error) {
	defer g.lock(l.CID)()
	return g.lost(ctx, l)
}

func (g *Register) lost(ctx context.Context, l mapping.Link) (bool, error) {
	if held, err := g.holds(l.Layout); err != nil || !held {
		return false, err
	}
	now, err := g.mapping.Link(ctx, l.CID)
	if errors.Is(err, mapping.ErrNotFound) {
		return true, nil
	}
	if err == nil && now.Layout != l.Layout {
		return false, g.Drop(l.Layout) // left by a crash in the moment when the other took its place
	}
	return false, err
}

// Restore makes a link visible again that is lost. If it is not, or no more, the answer is false and tx is left as it is.
func (g *Register) Restore(ctx context.Context, tx mapping.Tx, l mapping.Link) (bool, error) {
	defer g.lock(l.CID)()
	if lost, err := g.lost(ctx, l); err != nil || !lost {
		return false, err
	}
	if err := tx.Commit(ctx, l); err != nil {
		return false, err
	}
	return true, g.untag(lostTag, l.Layout)
}

// Delete takes a link out of the register and makes it invisible, both durably. The error is mapping.ErrNotFound if
// there is no such link.
func (g *Register) Delete(ctx context.Context, c cid.Cid) error {
	defer g.lock(c)()
	l, err := g.mapping.Link(ctx, c)
	if err != nil {
		return err
	}
	if err := g.Forget(ctx, l.Layout); err != nil {
		return err
	}
	if err := g.mapping.Delete(ctx, c); err != nil {
		return errors.Join(err, g.enter(l.Layout))
	}
	return nil
}

// Forget takes a layout out of the register, durably.
func (g *Register) Forget(ctx context.Context, layout bao.Hash) error {
	if err := g.Drop(layout); err != nil {
		return err
	}
	return g.store.Sync(ctx)
}

func (g *Register) lock(c cid.Cid) (unlock func()) {
	h := c.Hash() // the same for both versions of a CID
	m := &g.locks[h[len(h)-1]]
	m.Lock()
	return m.Unlock
}

// LinkOf reads the link that a layout describes. Created is zero: a layout does not know it.
func LinkOf(s *store.Store, hash bao.Hash) (mapping.Link, error) {
	blob, err := s.Open(hash)
	if err != nil {
		return mapping.Link{}, err
	}
	defer blob.Close()
	r := layout.NewReader(blob, int64(blob.Size()), layout.Limits{})
	for {
		rec, err := r.Next()
		if err != nil {
			if err == io.EOF { // after an end, which has been seen
				err = io.ErrUnexpectedEOF
			}
			return mapping.Link{}, fmt.Errorf("layout %s: %w", hash, err)
		}
		if rec.Kind == layout.End {
			rec.Link.Layout = hash
			return rec.Link, nil
		}
	}
}
