package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/recording"
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
// way, everything is as it was. The error is ErrPartial if some links did not come back, and ErrVerify if none did.
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
		return out, fmt.Errorf("%w: nothing was ever linked in %s; check the data folder", ErrNotFound, b.Dir())
	}
	out.Aside, err = pebble.Rebuild(b.folder.Mapping(), pebble.Config{Logger: log}, func(m mapping.Store) error {
		b.mapping, b.register = m, recording.NewRegister(b.store, m)
		defer func() { b.mapping = nil }() // pebble closes it
		err := b.scrubber().Restore(ctx, p, func(f Finding) error {
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
	return out, verdict(out.Links+out.Lost, out.Lost, "links did not come back")
}

// audit brings back every link that is missing, and notes whether that was all. The caller holds all of ops.
func (b *Bridge) audit(ctx context.Context) error {
	lost, err := b.scrubber().Audit(ctx)
	b.audited.Store(err == nil && lost == 0)
	return err
}

// forgetLost gives up a link that the mapping has lost.
func (b *Bridge) forgetLost(ctx context.Context, t naming.Target) (Mapped, error) {
	l, found, err := b.scrubber().Forget(ctx, t.CID, t.Hash)
	if err != nil {
		return Mapped{}, err
	}
	if !found {
		return Mapped{}, fmt.Errorf("%w: %s", ErrNotFound, recording.Shorten(t.Text))
	}
	b.wakePurge()
	m := Mapped{Hash: hashText(l.Hash), Format: string(l.Format), Size: l.Size}
	if l.CID.Defined() {
		m.CID, m.CIDs = l.CID.String(), []string{l.CID.String()}
	}
	return m, nil
}
