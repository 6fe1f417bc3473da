// Package naming reads what people and the API call content and endpoints, and says what is wrong with a name.
//
//	CID, /ipfs/CID           content in IPFS's words
//	HASH                     a blob: 64 characters of lower-case hex, or base32
//	sHASH                    a hash sequence and its children: an s before the hex
//	TICKET                   a blob ticket: hash, format, and an endpoint that has it
//	ENDPOINT_ID              64 characters of hex, or base32
//	endpoint ticket          an endpoint and where it is
//
// It is pure.
package naming

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Errors that callers branch on. They are wrapped with what was named and what to do.
var (
	// ErrNotFound: what is named is not here, or no peer has it.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the name, or the request itself, makes no sense: a malformed CID, a path that is not there.
	ErrInvalid = errors.New("invalid request")
	// ErrVerify: bytes did not hash to their name.
	ErrVerify = errors.New("verification failed")
)

// A Target is what the command line calls CID|HASH|TICKET, parsed.
type Target struct {
	CID    cid.Cid // Undef unless it was one
	Hash   bao.Hash
	Seq    bool // the hash was said to be that of a sequence
	Ticket *ticket.Blob
	Text   string // as it was given
}

// ParseTarget accepts a CID, /ipfs/CID, a BLAKE3 hash in hex or base32, one in hex with an s before it for a sequence, or a
// blob ticket. A 64-character hex string is a hash; everything that is a valid CID is a CID.
func ParseTarget(text string) (Target, error) {
	t := Target{Text: text}
	if strings.HasPrefix(text, "blob") {
		parsed, err := ticket.ParseBlob(text)
		if err != nil {
			return t, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		t.Ticket, t.Hash, t.Seq = &parsed, parsed.Hash, parsed.Format == ticket.HashSeq
		return t, nil
	}
	if h, err := bao.ParseHash(text); err == nil {
		t.Hash = h
		return t, nil
	}
	if rest, ok := strings.CutPrefix(text, "s"); ok && len(rest) == 2*len(t.Hash) {
		if h, err := bao.ParseHash(rest); err == nil {
			t.Hash, t.Seq = h, true
			return t, nil
		}
	}
	c, err := cid.Decode(strings.TrimPrefix(text, "/ipfs/"))
	if err != nil {
		return t, fmt.Errorf("%w: %q is neither a CID, a BLAKE3 hash nor a blob ticket", ErrInvalid, recording.Shorten(text))
	}
	t.CID = c
	return t, nil
}

// A Sought is what is to be fetched or looked for at others.
type Sought struct {
	Hash   bao.Hash
	Format ticket.Format
	Bare   bool // the hash alone was given: it does not say the format
	From   []ticket.EndpointAddr
}

// ParseSought reads HASH|TICKET and where else to look. recursive makes a hash that of a sequence, as an s before it does.
func ParseSought(text string, recursive bool, from []string) (Sought, error) {
	t, err := ParseTarget(text)
	if err != nil {
		return Sought{}, err
	}
	if t.CID.Defined() {
		return Sought{}, fmt.Errorf("%w: %s is a CID, which says nothing to iroh peers; name a BLAKE3 hash or a ticket", ErrInvalid, t.CID)
	}
	s := Sought{Hash: t.Hash, Bare: t.Ticket == nil && !t.Seq && !recursive}
	if t.Seq || recursive {
		s.Format = ticket.HashSeq
	}
	if t.Ticket != nil {
		s.From = append(s.From, t.Ticket.Addr)
	}
	for _, f := range from {
		addr, err := ParseEndpoint(f)
		if err != nil {
			return Sought{}, err
		}
		s.From = append(s.From, addr)
	}
	return s, nil
}

// ParseEndpoint reads an endpoint id, an endpoint ticket, or a blob ticket, of which only the endpoint counts.
func ParseEndpoint(text string) (ticket.EndpointAddr, error) {
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
