package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// A target is what the command line calls CID|HASH|TICKET, parsed.
type target struct {
	cid    cid.Cid // Undef unless it was one
	hash   bao.Hash
	seq    bool // the hash was said to be that of a sequence
	ticket *ticket.Blob
	text   string
}

// parseTarget accepts a CID, /ipfs/CID, a BLAKE3 hash in hex or base32, one in hex with an s before it for a sequence, or a
// blob ticket. A 64-character hex string is a hash; everything that is a valid CID is a CID.
func parseTarget(text string) (target, error) {
	t := target{text: text}
	if strings.HasPrefix(text, "blob") {
		parsed, err := ticket.ParseBlob(text)
		if err != nil {
			return t, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		t.ticket, t.hash, t.seq = &parsed, parsed.Hash, parsed.Format == ticket.HashSeq
		return t, nil
	}
	if h, err := bao.ParseHash(text); err == nil {
		t.hash = h
		return t, nil
	}
	if rest, ok := strings.CutPrefix(text, "s"); ok && len(rest) == 2*len(t.hash) {
		if h, err := bao.ParseHash(rest); err == nil {
			t.hash, t.seq = h, true
			return t, nil
		}
	}
	c, err := cid.Decode(strings.TrimPrefix(text, "/ipfs/"))
	if err != nil {
		return t, fmt.Errorf("%w: %q is neither a CID, a BLAKE3 hash nor a blob ticket", ErrInvalid, recording.Shorten(text))
	}
	t.cid = c
	return t, nil
}

// A sought is what is to be fetched or looked for at others.
type sought struct {
	hash   bao.Hash
	format ticket.Format
	from   []ticket.EndpointAddr
}

// parseSought reads HASH|TICKET and where else to look. recursive makes a hash that of a sequence, as an s before it does.
func parseSought(text string, recursive bool, from []string) (sought, error) {
	t, err := parseTarget(text)
	if err != nil {
		return sought{}, err
	}
	if t.cid.Defined() {
		return sought{}, fmt.Errorf("%w: %s is a CID, which says nothing to iroh peers; name a BLAKE3 hash or a ticket", ErrInvalid, t.cid)
	}
	s := sought{hash: t.hash}
	if t.seq || recursive {
		s.format = ticket.HashSeq
	}
	if t.ticket != nil {
		s.from = append(s.from, t.ticket.Addr)
	}
	for _, f := range from {
		addr, err := parseEndpoint(f)
		if err != nil {
			return sought{}, err
		}
		s.from = append(s.from, addr)
	}
	return s, nil
}

// parseEndpoint reads an endpoint id, an endpoint ticket, or a blob ticket, of which only the endpoint counts.
func parseEndpoint(text string) (ticket.EndpointAddr, error) {
	if id, err := key.ParseEndpointID(text); err == nil {
		return ticket.EndpointAddr{ID: id}, nil
	}
	if t, err := ticket.ParseBlob(text); err == nil {
		return t.Addr, nil
	}
	t, err := ticket.ParseEndpoint(text)
	if err != nil {
		return ticket.EndpointAddr{}, fmt.Errorf("%w: %q is neither an endpoint id nor a ticket: %w", ErrInvalid, recording.Shorten(text), err)
	}
	return t.Addr, nil
}

// here finds content that iroh peers can have of us: a link, what is kept, or any blob that is whole.
func (b *Bridge) here(ctx context.Context, text string, recursive bool) (bao.Hash, ticket.Format, error) {
	t, err := parseTarget(text)
	if err != nil {
		return bao.Hash{}, 0, err
	}
	l, err := b.find(ctx, t)
	switch {
	case err == nil && l.Hash == [32]byte{}:
		return bao.Hash{}, 0, fmt.Errorf("%w: the folder %s is inside other content and has no hash of its own; `bridge import` gives it one", ErrInvalid, l.CID)
	case err == nil:
		return l.Hash, irohFormat(l.Format), nil
	case !errors.Is(err, ErrNotFound) || t.cid.Defined():
		return bao.Hash{}, 0, err
	}
	format, err := b.keptFormat(t.hash)
	if err != nil {
		return bao.Hash{}, 0, err
	}
	if t.seq || recursive {
		format = ticket.HashSeq
	}
	st, err := b.store.Status(t.hash)
	if err != nil {
		return bao.Hash{}, 0, storeError(t.hash, err)
	}
	if st.State != store.Complete {
		return bao.Hash{}, 0, fmt.Errorf("%w: blob %s is %s here", ErrNotFound, t.hash, st.State)
	}
	return t.hash, format, nil
}

// keptFormat is what a hash was said to be when it was kept; a blob if it was not.
func (b *Bridge) keptFormat(hash bao.Hash) (ticket.Format, error) {
	items, err := b.keeper.Find(hash)
	if err != nil {
		return 0, fmt.Errorf("bridge: %w", err)
	}
	for _, i := range items {
		if i.Format == ticket.HashSeq {
			return ticket.HashSeq, nil
		}
	}
	return ticket.Raw, nil
}
