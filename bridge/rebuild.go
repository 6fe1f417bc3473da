package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

// Rebuilt is what became of a mapping database that could not be read.
type Rebuilt struct {
	// Links is how many links came back, Lost how many did not, since their blobs are damaged or gone. What is lost
	// stays registered: it comes back by another repair once its bytes are good, and is forgotten by [Bridge.Remove].
	Links, Lost int
	// Aside is the folder that the old database was moved to; empty if there was nothing.
	Aside string
}

// Rebuild makes a data folder's mapping database anew, reading nothing of the old one:
//
//	register → layouts → every blob and block hashed → links and index beside the old ones → old set aside, new in place
//
// It yields a finding for each link. The folder must not be open: ErrBusy. When the process dies, or ctx ends, on the
// way, everything is as it was. The error is ErrVerify if a link did not come back.
func Rebuild(ctx context.Context, dir string, cfg config.Config, log *slog.Logger, p Progress, yield func(Finding) error) (out Rebuilt, err error) {
	b, err := prepare(dir, cfg, log)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	known, err := recording.Registered(b.store)
	if err != nil {
		return out, err
	}
	if !known {
		return out, fmt.Errorf("%w: nothing was ever linked in %s; check the data folder", ErrNotFound, b.dir)
	}
	out.Aside, err = pebble.Rebuild(b.mappingDir(), pebble.Config{Logger: log}, func(m mapping.Store) error {
		b.mapping, b.register = m, recording.NewRegister(b.store, m)
		defer func() { b.mapping = nil }() // pebble closes it
		err := b.relinkAll(ctx, p, func(f Finding) error {
			if f.OK {
				out.Links++
			} else {
				out.Lost++
			}
			return yield(f)
		})
		return errors.Join(err, b.store.Sync(ctx)) // what is in doubt must be known to be
	})
	if err != nil {
		return out, err
	}
	if err := b.openMapping(true); err != nil {
		return out, err
	}
	if out.Lost > 0 {
		return out, fmt.Errorf("%w: %d of %d links did not come back", ErrVerify, out.Lost, out.Links+out.Lost)
	}
	return out, nil
}

// missing lists the layouts of the links that the register has and the mapping has not, nor any operation that runs.
func (b *Bridge) missing(ctx context.Context) ([]bao.Hash, error) {
	layouts, err := b.register.Layouts()
	if err != nil {
		return nil, err
	}
	var gone []bao.Hash
	for _, hash := range layouts {
		there, err := b.mapping.Referenced(ctx, hash)
		if err != nil {
			return nil, err
		}
		if !there {
			gone = append(gone, hash)
		}
	}
	return gone, nil
}

// relinkAll verifies and brings back every link that is missing.
func (b *Bridge) relinkAll(ctx context.Context, p Progress, yield func(Finding) error) error {
	gone, err := b.missing(ctx)
	if err != nil {
		return err
	}
	for _, hash := range gone {
		if err := b.ops.Acquire(ctx, 1); err != nil { // nothing is purged meanwhile
			return err
		}
		f, err := b.relink(&checker{b: b, ctx: ctx, unindexed: true}, hash, p)
		b.ops.Release(1)
		if err == nil && f != nil && !f.OK {
			err = b.register.Doubt(hash)
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

// audit brings back every link that is missing, as long as its blobs are there; what is in them is not looked at, as
// with any link at a start. It comes before anything is deleted: what a mapping that was damaged takes for an operation
// cut short may be a link of long ago. The caller holds all of ops.
func (b *Bridge) audit(ctx context.Context) error {
	gone, err := b.missing(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for _, hash := range gone {
		if doubted, err := b.register.Doubted(hash); err != nil {
			return err
		} else if doubted {
			lost++ // verify has said so
			continue
		}
		f, err := b.relink(&checker{b: b, ctx: ctx, unindexed: true, unread: true}, hash, Silent{})
		switch {
		case err != nil:
			return err
		case f == nil:
		case f.OK:
			b.log.Warn("a link that the mapping database did not have is back", "cid", f.CID)
		default:
			lost++
			b.log.Error("a link is lost; run `bridge verify --repair`", "cid", f.CID, "problem", f.Problems[0])
		}
	}
	b.audited.Store(lost == 0)
	return nil
}

// lost says of every link that the register has and the mapping has not that it is missing.
func (b *Bridge) lost(ctx context.Context, yield func(Finding) error) error {
	gone, err := b.missing(ctx)
	if err != nil {
		return err
	}
	for _, hash := range gone {
		f := Finding{CID: unnamed(hash), Problems: []string{"the mapping database has lost this link; run with --repair"}}
		if l, err := recording.LinkOf(b.store, hash); err == nil {
			f.CID = l.CID.String()
			if lost, err := b.register.Lost(ctx, l); err != nil {
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
func (b *Bridge) relink(c *checker, hash bao.Hash, p Progress) (*Finding, error) {
	ctx := c.ctx
	tx, err := b.mapping.Begin(ctx)
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
	if err := errors.Join(b.references(tx, l), recording.Index(ctx, b.store, tx, l)); err != nil {
		return nil, err
	}
	l.Created = time.Now().UTC().Truncate(time.Millisecond)
	if made, err := b.register.Restore(ctx, tx, l); err != nil || !made {
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
	l, err := recording.LinkOf(c.b.store, hash)
	if err != nil {
		c.problem("%v", err)
		return mapping.Link{}, c.ctx.Err()
	}
	return l, nil
}

// forgetLost takes a link out of the register that the mapping has lost: by its CID or hash, or, if not even that can
// be read, by its layout's hash. Its blobs are deleted if nothing else needs them.
func (b *Bridge) forgetLost(ctx context.Context, t target) (Mapped, error) {
	gone, err := b.missing(ctx)
	if err != nil {
		return Mapped{}, err
	}
	for _, hash := range gone {
		l, err := recording.LinkOf(b.store, hash)
		named := err == nil && (l.Hash == t.hash || t.cid.Defined() && mapping.Canonical(l.CID) == mapping.Canonical(t.cid))
		if !named && (t.cid.Defined() || hash != t.hash) {
			continue
		}
		if err == nil {
			b.disown(ctx, l)
		}
		if err := b.register.Forget(ctx, hash); err != nil {
			return Mapped{}, err
		}
		b.wakePurge()
		m := Mapped{Hash: bao.Hash(l.Hash).String(), Format: string(l.Format), Size: l.Size}
		if l.CID.Defined() {
			m.CID, m.CIDs = l.CID.String(), []string{l.CID.String()}
		}
		return m, nil
	}
	return Mapped{}, fmt.Errorf("%w: %s", ErrNotFound, recording.Shorten(t.text))
}

// disown lets the next purge find the blobs of a link that the mapping does not know: by a transaction that refers to
// them and ends without a link. What cannot be read of the link stays on disk.
func (b *Bridge) disown(ctx context.Context, l mapping.Link) {
	tx, err := b.mapping.Begin(ctx)
	if err == nil {
		err = errors.Join(tx.Ref(l.Hash, l.CID), tx.Ref(l.Layout, l.CID), b.references(tx, l), tx.Abort())
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		b.log.Warn("some blobs of a lost link stay on disk", "cid", l.CID, "err", err)
	}
}

func (b *Bridge) mappingDir() string { return filepath.Join(b.dir, "mapping") }
