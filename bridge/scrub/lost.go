package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Missing lists the layouts of the links that the register has and the mapping has not, nor any operation that runs.
func (s *Scrubber) Missing(ctx context.Context) ([]bao.Hash, error) {
	layouts, err := s.Register.Layouts()
	if err != nil {
		return nil, err
	}
	var gone []bao.Hash
	for _, hash := range layouts {
		there, err := s.Mapping.Referenced(ctx, hash)
		if err != nil {
			return nil, err
		}
		if !there {
			gone = append(gone, hash)
		}
	}
	return gone, nil
}

// Restore verifies and brings back every link that is missing.
func (s *Scrubber) Restore(ctx context.Context, p Progress, yield func(Finding) error) error {
	gone, err := s.Missing(ctx)
	if err != nil {
		return err
	}
	for _, hash := range gone {
		release, err := s.Hold(ctx)
		if err != nil {
			return err
		}
		f, err := s.relink(&checker{s: s, ctx: ctx, unindexed: true}, hash, p)
		release()
		if err == nil && f != nil && !f.OK {
			err = s.Register.Doubt(hash)
		}
		if err == nil && f != nil {
			err = yield(*f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Audit brings back every link that is missing, as long as its blobs are there; what is in them is not looked at, as
// with any link at a start. It comes before anything is deleted: what a mapping that was damaged takes for an operation
// cut short may be a link of long ago. No purge may run meanwhile. It returns how many links stay lost.
func (s *Scrubber) Audit(ctx context.Context) (lost int, err error) {
	gone, err := s.Missing(ctx)
	if err != nil {
		return 0, err
	}
	for _, hash := range gone {
		if doubted, err := s.Register.Doubted(hash); err != nil {
			return 0, err
		} else if doubted {
			lost++ // verify has said so
			continue
		}
		f, err := s.relink(&checker{s: s, ctx: ctx, unindexed: true, unread: true}, hash, silent{})
		switch {
		case err != nil:
			return 0, err
		case f == nil:
		case f.OK:
			s.Logger.Warn("a link that the mapping database did not have is back", "cid", f.CID)
		default:
			lost++
			s.Logger.Error("a link is lost; run `bridge verify --repair`", "cid", f.CID, "problem", f.Problems[0])
		}
	}
	return lost, nil
}

// Lost says of every link that the register has and the mapping has not that it is missing.
func (s *Scrubber) Lost(ctx context.Context, yield func(Finding) error) error {
	gone, err := s.Missing(ctx)
	if err != nil {
		return err
	}
	for _, hash := range gone {
		f := Finding{CID: unnamed(hash), Problems: []string{"the mapping database has lost this link; run with --repair"}}
		if l, err := recording.LinkOf(s.Store, hash); err == nil {
			f.CID = l.CID.String()
			if lost, err := s.Register.Lost(ctx, l); err != nil {
				return err
			} else if !lost {
				continue // removed since, or made anew
			}
		}
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// unnamed stands for a link whose CID cannot be read.
func unnamed(layout bao.Hash) string { return "layout " + layout.String() }

// relink has a checker look at all that a layout needs and makes its link. No finding means that there is nothing to be
// done: the link was removed, or made anew, meanwhile.
func (s *Scrubber) relink(c *checker, hash bao.Hash, p Progress) (*Finding, error) {
	ctx := c.ctx
	tx, err := s.Mapping.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Abort()
	f := &Finding{CID: unnamed(hash)}
	l, err := c.lostLink(hash)
	if err != nil {
		return nil, err
	}
	if l.CID.Defined() {
		f.CID = l.CID.String()
		p.Item(f.CID, int64(l.Size))
	}
	if len(c.problems) == 0 {
		if err := c.content(l); err != nil {
			return nil, err
		}
		p.Bytes(l.Size)
	}
	if len(c.problems) > 0 {
		f.Problems = append(c.problems, fmt.Sprintf("the link does not come back before this is mended; `bridge rm %s` forgets it", forgetName(l, hash)))
		return f, nil
	}
	if err := errors.Join(s.references(tx, l), recording.Index(ctx, s.Store, tx, l)); err != nil {
		return nil, err
	}
	l.Created = time.Now().UTC().Truncate(time.Millisecond)
	if made, err := s.Register.Restore(ctx, tx, l); err != nil || !made {
		return nil, err
	}
	f.OK, f.Repaired, f.Restored = true, true, true
	return f, nil
}

// forgetName is by what a lost link can be named: its CID, or else its layout's hash.
func forgetName(l mapping.Link, layout bao.Hash) string {
	if l.CID.Defined() {
		return l.CID.String()
	}
	return layout.String()
}

// lostLink verifies a layout and reads which link it describes; the link has no CID if there is a problem with that.
func (c *checker) lostLink(hash bao.Hash) (mapping.Link, error) {
	if err := c.blob(hash); err != nil || len(c.problems) > 0 {
		return mapping.Link{}, err
	}
	l, err := recording.LinkOf(c.s.Store, hash)
	if err != nil {
		c.problem("%v", err)
		return mapping.Link{}, c.ctx.Err()
	}
	return l, nil
}

// Forget takes a link out of the register that the mapping has lost: the one with the root c or the hash, or, if not even
// these can be read, the one whose layout has the hash. Its blobs become the next purge's if nothing else needs them.
// found tells whether there is such a link; what is known of it is returned.
func (s *Scrubber) Forget(ctx context.Context, c cid.Cid, hash bao.Hash) (l mapping.Link, found bool, err error) {
	gone, err := s.Missing(ctx)
	if err != nil {
		return l, false, err
	}
	for _, layout := range gone {
		l, err := recording.LinkOf(s.Store, layout)
		named := err == nil && (l.Hash == hash || c.Defined() && mapping.Canonical(l.CID) == mapping.Canonical(c))
		if !named && (c.Defined() || layout != hash) {
			continue
		}
		if err == nil {
			s.disown(ctx, l)
		}
		return l, true, s.Register.Forget(ctx, layout)
	}
	return l, false, nil
}

// disown lets the next purge find the blobs of a link that the mapping does not know: by a transaction that refers to
// them and ends without a link. What cannot be read of the link stays on disk.
func (s *Scrubber) disown(ctx context.Context, l mapping.Link) {
	tx, err := s.Mapping.Begin(ctx)
	if err == nil {
		err = errors.Join(tx.Ref(l.Hash, l.CID), tx.Ref(l.Layout, l.CID), s.references(tx, l), tx.Abort())
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Logger.Warn("some blobs of a lost link stay on disk", "cid", l.CID, "err", err)
	}
}
