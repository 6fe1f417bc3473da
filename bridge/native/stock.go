package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Stock is what is here. All fields are required.
type Stock struct {
	Store  *store.Store
	Keeper *keeping.Keeper
	// Linked finds what is linked, or naming.ErrNotFound.
	Linked func(ctx context.Context, t naming.Target) (mapping.Link, error)
	// Referenced tells whether a link needs a blob.
	Referenced func(ctx context.Context, hash [32]byte) (bool, error)
}

// Item describes what is kept without a CID.
type Item struct {
	Hash   string `json:"hash" doc:"BLAKE3 hash of the blob, or of the hash sequence"`
	Format string `json:"format" enum:"blob,collection,hashseq" doc:"what the hash names"`
	Size   uint64 `json:"size" doc:"file bytes, as far as they are known"`
	Ticket string `json:"ticket" doc:"iroh blob ticket of this bridge"`
	Kept   Kept   `json:"kept"`
}

// Kept says why content that is in no link is here, and how much of it.
type Kept struct {
	Why   string `json:"why" enum:"fetched,pushed"`
	By    string `json:"by,omitempty" doc:"endpoint id of who pushed it, if that is known"`
	State string `json:"state" enum:"complete,partial,damaged" doc:"damaged: a sequence that cannot be read; until it is removed nothing is deleted from the disk"`
	Have  uint64 `json:"have" doc:"file bytes that are here"`
}

// Describe says what a kept item is; its ticket is for an endpoint at an address.
func (s *Stock) Describe(i keeping.Item, at ticket.EndpointAddr) (Item, error) {
	have, err := s.Keeper.Have(i)
	if err != nil {
		return Item{}, fmt.Errorf("%s: %w", i.Hash, err)
	}
	c := Item{
		Hash: i.Hash.String(), Format: string(formatOf(i.Format, have.Collection)), Size: have.Size,
		Ticket: TicketOf(i.Hash, i.Format, at), Kept: Kept{Why: "fetched", State: "partial", Have: have.Bytes},
	}
	switch {
	case have.Damaged:
		c.Kept.State = "damaged"
	case have.Complete:
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

// IrohFormat is what the mapping's format is in iroh's words.
func IrohFormat(f mapping.Format) ticket.Format {
	if f == mapping.FormatBlob {
		return ticket.Raw
	}
	return ticket.HashSeq
}

// Seek reads what is to be fetched. A hash that is kept here is taken for what it was then said to be, any other for what it looks like;
// a ticket says itself.
func (s *Stock) Seek(text string, recursive bool, from []string) (naming.Sought, error) {
	t, err := naming.ParseSought(text, recursive, from)
	if err != nil || !t.Bare {
		return t, err
	}
	t.Format, err = s.keptFormat(t.Hash)
	return t, err
}

// Here finds content that iroh peers can have of us: a link, what is kept, or any blob that is whole.
func (s *Stock) Here(ctx context.Context, text string, recursive bool) (bao.Hash, ticket.Format, error) {
	t, err := naming.ParseTarget(text)
	if err != nil {
		return bao.Hash{}, 0, err
	}
	l, err := s.Linked(ctx, t)
	switch {
	case err == nil && l.Hash == [32]byte{}:
		return bao.Hash{}, 0, fmt.Errorf("%w: the folder %s is inside other content and has no hash of its own; `bridge import` gives it one", naming.ErrInvalid, l.CID)
	case err == nil:
		return l.Hash, IrohFormat(l.Format), nil
	case !errors.Is(err, naming.ErrNotFound) || t.CID.Defined():
		return bao.Hash{}, 0, err
	}
	format := ticket.Raw
	switch {
	case t.Seq || recursive:
		format = ticket.HashSeq
	case t.Ticket == nil:
		if format, err = s.keptFormat(t.Hash); err != nil {
			return bao.Hash{}, 0, err
		}
	}
	st, err := s.Store.Status(t.Hash)
	if err != nil {
		return bao.Hash{}, 0, blocks.Explain(t.Hash, err)
	}
	if s.Left(ctx, t.Hash) {
		st.State = store.Missing
	}
	if st.State != store.Complete {
		return bao.Hash{}, 0, fmt.Errorf("%w: blob %s is %s here", naming.ErrNotFound, t.Hash, st.State)
	}
	return t.Hash, format, nil
}

// keptFormat is what a hash was said to be when it was kept, or what it looks like if it was not. What was fetched comes before what
// others say.
func (s *Stock) keptFormat(hash bao.Hash) (ticket.Format, error) {
	items, err := s.Keeper.Find(hash)
	if err != nil {
		return 0, err
	}
	for _, i := range items {
		if !i.Pushed || i.Format == ticket.HashSeq {
			return i.Format, nil
		}
	}
	return s.looksLike(hash)
}

// Leave takes what a link has for given up, for the time that the link is gone and its blobs are not yet.
func (s *Stock) Leave(l mapping.Link) error {
	all, err := s.Keeper.Blobs(keeping.Item{Hash: l.Hash, Format: IrohFormat(l.Format)})
	if err == nil || errors.Is(err, keeping.ErrDamaged) {
		err = s.Keeper.Leave(all)
	}
	return err
}

// Left tells whether a blob was given up, so that it is nobody's to have although it may be here until the next purge.
func (s *Stock) Left(ctx context.Context, hash bao.Hash) bool {
	if !s.Keeper.Left(hash) {
		return false
	}
	linked, err := s.Referenced(ctx, hash)
	return err == nil && !linked
}

// maxProblems bounds what is said of one sequence that is kept.
const maxProblems = 20

// Verify hashes what is kept or arriving and in no link, as far as it is there, and yields what is wrong with each item.
func (s *Stock) Verify(ctx context.Context, p Progress, yield func(hash bao.Hash, problems []string) error) error {
	items, err := s.Keeper.Items()
	if err != nil {
		return err
	}
	arriving, err := s.Keeper.Arriving()
	if err != nil {
		return err
	}
	items = append(items, arriving...)
	for _, i := range items {
		p.Item(i.Hash.String(), -1)
		var problems []string
		all, err := s.Keeper.Blobs(i)
		if err != nil { // of its own hash, which is all there is
			problems = append(problems, err.Error())
			all = nil
		}
		for _, h := range all {
			err := s.verifyBlob(ctx, h)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && len(problems) < maxProblems {
				problems = append(problems, err.Error())
			}
		}
		if err := yield(i.Hash, problems); err != nil {
			return err
		}
	}
	return nil
}

// verifyBlob hashes a blob that is there and that no link was verified with.
func (s *Stock) verifyBlob(ctx context.Context, hash bao.Hash) error {
	if linked, err := s.Referenced(ctx, hash); err != nil || linked {
		return err
	}
	st, err := s.Store.Status(hash)
	if err == nil && st.State == store.Complete {
		err = s.Store.Verify(ctx, hash)
	}
	if err != nil {
		return blocks.Explain(hash, err)
	}
	return nil
}
