package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/scrub"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/mapping"
)

// VerifyRequest says how far verify goes.
type VerifyRequest struct {
	Repair bool `json:"repair,omitempty" doc:"rebuild the block index from the links and blobs, and bring back links that were lost"`
}

// Verify hashes every blob and every block of every link, as both networks would, and yields a finding for each link; then
// every blob that is kept without one.
// With Repair, a link whose block index does not hold is indexed anew from its layout, and a link that the mapping has
// lost is linked anew, if all its bytes are good. When links remain damaged the error is ErrPartial if others are good and
// ErrVerify if none is. It is ErrVerify and ErrDamaged if the mapping database cannot be read: that takes [Rebuild].
func (b *Bridge) Verify(ctx context.Context, req VerifyRequest, p Progress, yield func(Finding) error) error {
	s := b.scrubber()
	all, bad := 0, 0
	count := func(f Finding) error {
		all++
		if !f.OK {
			bad++
		}
		return yield(f)
	}
	err := s.Links(ctx, req.Repair, p, count)
	if err == nil && req.Repair {
		err = s.Restore(ctx, p, count)
	} else if err == nil {
		err = s.Lost(ctx, count)
	}
	if err == nil {
		err = b.stock.Verify(ctx, p, func(hash bao.Hash, problems []string) error {
			return count(Finding{Hash: hash.String(), Problems: problems, OK: len(problems) == 0})
		})
	}
	if err = mappingError(err); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrVerify, err)
	}
	if err != nil {
		return err
	}
	return verdict(all, bad, "items are damaged")
}

// verdict is the error for links, and what else was looked at, of which some are not good.
func verdict(all, bad int, what string) error {
	switch bad {
	case 0:
		return nil
	case all:
		return fmt.Errorf("%w: all of %d %s", ErrVerify, all, what)
	}
	return fmt.Errorf("%w: %d of %d %s", ErrPartial, bad, all, what)
}

// Finding is what verify says of one link.
type Finding = scrub.Finding

// scrubber looks at the links of this bridge.
func (b *Bridge) scrubber() *scrub.Scrubber {
	return &scrub.Scrubber{
		Store: b.store, Mapping: b.mapping, Register: b.register, Source: source{b}, Logger: b.log,
		Hold: func(ctx context.Context) (func(), error) {
			return func() { b.ops.Release(1) }, b.ops.Acquire(ctx, 1)
		},
	}
}

// source reads what is here, for the scrubber.
type source struct{ b *Bridge }

func (s source) ReadBlock(blk mapping.Block) ([]byte, bool, error) { return s.b.blocks().Read(blk) }
func (s source) CheckBlock(c cid.Cid, data []byte) error           { return blocks.Check(c, data) }
func (s source) Explain(hash bao.Hash, err error) error            { return blocks.Explain(hash, err) }
