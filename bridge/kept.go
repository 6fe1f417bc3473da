package bridge

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Kept says why content that is in no link is here, and how much of it.
type Kept struct {
	Why   string `json:"why" enum:"fetched,pushed"`
	By    string `json:"by,omitempty" doc:"endpoint id of who pushed it, if that is known"`
	State string `json:"state" enum:"complete,partial"`
	Have  uint64 `json:"have" doc:"file bytes that are here"`
}

// describeKept says what a kept item is.
func (b *Bridge) describeKept(i keeping.Item) (Content, error) {
	have, err := b.keeper.Have(i)
	if err != nil {
		return Content{}, fmt.Errorf("bridge: %s: %w", i.Hash, err)
	}
	c := Content{
		Hash: i.Hash.String(), Format: string(formatOf(i.Format, have.Collection)), Size: have.Size,
		Ticket: b.ticketFor(i.Hash, i.Format, allAddrs), Kept: &Kept{Why: "fetched", State: "partial", Have: have.Bytes},
	}
	if have.Complete {
		c.Kept.State = "complete"
	}
	if i.Pushed {
		c.Kept.Why = "pushed"
	}
	if !i.By.IsZero() {
		c.Kept.By = i.By.String()
	}
	return c, nil
}

// formatOf is what iroh's format is in the words of the mapping.
func formatOf(f ticket.Format, named bool) mapping.Format {
	switch {
	case f == ticket.Raw:
		return mapping.FormatBlob
	case named:
		return mapping.FormatCollection
	}
	return mapping.FormatHashSeq
}

// irohFormat is what the mapping's format is in iroh's words.
func irohFormat(f mapping.Format) ticket.Format {
	if f == mapping.FormatBlob {
		return ticket.Raw
	}
	return ticket.HashSeq
}

// letGo gives up what is kept under a hash, and leaves its blobs to the next purge: by a transaction that refers to them
// and ends without a link. found tells whether anything was kept.
func (b *Bridge) letGo(ctx context.Context, hash bao.Hash) (m Mapped, found bool, err error) {
	items, err := b.keeper.Find(hash)
	if err != nil || len(items) == 0 {
		return m, false, err
	}
	c, err := b.describeKept(items[0])
	if err != nil {
		return m, false, err
	}
	tx, err := b.mapping.Begin(ctx)
	if err != nil {
		return m, false, mappingError(err)
	}
	defer tx.Abort()
	dropped, err := b.keeper.Drop(hash, func(blobs []bao.Hash) error {
		for _, h := range blobs {
			if err := tx.Ref(h, cid.Undef); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err == nil {
		err = b.store.Sync(ctx)
	}
	if err == nil {
		err = tx.Abort()
	}
	if err != nil {
		return m, false, fmt.Errorf("bridge: letting go of %s: %w", hash, err)
	}
	b.wakePurge()
	return Mapped{Hash: c.Hash, Format: c.Format, Size: c.Size, CIDs: []string{}}, len(dropped) > 0, nil
}

// verifyKept hashes what is kept and in no link, as far as it is there; it counts the damaged ones.
func (b *Bridge) verifyKept(ctx context.Context, p Progress, yield func(Finding) error) error {
	items, err := b.keeper.Items()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for _, i := range items {
		p.Item(i.Hash.String(), -1)
		f := Finding{Hash: i.Hash.String()}
		all, err := b.keeper.Blobs(i)
		if err != nil {
			f.Problems = append(f.Problems, storeError(i.Hash, err).Error())
		}
		for _, h := range all {
			err := b.verifyBlob(ctx, h)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && len(f.Problems) < maxKeptProblems {
				f.Problems = append(f.Problems, err.Error())
			}
		}
		f.OK = len(f.Problems) == 0
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// verifyBlob hashes a blob that is there and that no link was verified with.
func (b *Bridge) verifyBlob(ctx context.Context, hash bao.Hash) error {
	if linked, err := b.mapping.Referenced(ctx, hash); err != nil || linked {
		return mappingError(err)
	}
	st, err := b.store.Status(hash)
	if err == nil && st.State == store.Complete {
		err = b.store.Verify(ctx, hash)
	}
	if err != nil {
		return storeError(hash, err)
	}
	return nil
}
