package ticket

import (
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

var (
	// ErrMalformed is matched by errors about text that is no ticket, or a damaged one.
	ErrMalformed = errors.New("ticket: malformed")
	// ErrKind is matched by errors about a ticket of a kind that does not fit here.
	ErrKind = errors.New("ticket: wrong kind")
	// ErrTooOld is matched by errors about tickets that only peers from before
	// iroh 0.12 (December 2023) made; those peers can no longer be talked to.
	ErrTooOld = errors.New("ticket: too old")

	errVariant  = errors.New("a variant that is not known")
	errURL      = errors.New("a relay URL is not valid")
	errAddrKind = errors.New("an address is of an unknown kind")
	errFormat   = errors.New("the format is neither a blob nor a hash sequence")
)

// Format says what a hash stands for.
type Format uint8

// The formats, with their values in tickets.
const (
	Raw     Format = 0 // one blob
	HashSeq Format = 1 // a blob of hashes, and the blobs that they name
)

// String returns "raw" or "hashseq".
func (f Format) String() string {
	switch f {
	case Raw:
		return "raw"
	case HashSeq:
		return "hashseq"
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// Blob is a blob ticket: content, and an endpoint that has it.
type Blob struct {
	Addr   EndpointAddr
	Hash   bao.Hash
	Format Format
}

// Endpoint is an endpoint ticket: how to reach an endpoint.
type Endpoint struct {
	Addr EndpointAddr
}

// The kinds that begin a ticket's text.
const (
	kindBlob     = "blob"
	kindEndpoint = "endpoint"
	kindNode     = "node"
	kindDoc      = "doc"
)

// ParseBlob reads a blob ticket. Errors match [ErrMalformed], [ErrKind] or
// [ErrTooOld] and say what the text is instead, if that can be told.
func ParseBlob(s string) (Blob, error) {
	b, err := decode(s, kindBlob)
	if err != nil {
		return Blob{}, err
	}
	t, err := readBlob(postcard.NewReader(b))
	switch {
	case err == nil:
		return t, nil
	case isOldBlob(b):
		return Blob{}, fmt.Errorf("%w: a blob ticket of iroh 0.9 to 0.11; ask for one made by a current version", ErrTooOld)
	}
	return Blob{}, malformed(kindBlob, err)
}

func readBlob(r *postcard.Reader) (t Blob, err error) {
	if r.U32() != 0 && r.Err() == nil {
		return Blob{}, errVariant
	}
	if t.Addr, err = readShort(r); err != nil {
		return Blob{}, err
	}
	format := r.U64()
	r.Fixed(t.Hash[:])
	switch {
	case r.Err() != nil:
		return Blob{}, r.Err()
	case format > uint64(HashSeq):
		return Blob{}, errFormat
	}
	t.Format = Format(format)
	return t, nil
}

// isOldBlob recognises the layout that blob tickets had until iroh 0.11: endpoint
// id, Option<u16> number of a relay, addresses, format, hash, Option<bytes> token.
func isOldBlob(b []byte) bool {
	r := postcard.NewReader(b)
	if _, err := readID(r); err != nil {
		return false
	}
	if r.Bool() {
		r.U16()
	}
	for range r.Count(6) {
		r.AddrPort()
	}
	r.U64()
	var hash bao.Hash
	r.Fixed(hash[:])
	if r.Bool() {
		r.Bytes()
	}
	return r.Err() == nil && r.Len() == 0
}

// String returns the ticket's text. It holds the first relay only, and no custom
// addresses: the format has no place for more.
func (t Blob) String() string {
	b := t.Addr.appendShort([]byte{0})
	b = postcard.AppendUint(b, uint64(t.Format))
	return encode(kindBlob, append(b, t.Hash[:]...))
}

// ParseEndpoint reads an endpoint ticket, or a node ticket of older versions.
// Errors are those of [ParseBlob].
func ParseEndpoint(s string) (Endpoint, error) {
	kind, read := kindEndpoint, readLong
	if strings.HasPrefix(s, kindNode) {
		kind, read = kindNode, readShort
	}
	b, err := decode(s, kind)
	if err != nil {
		return Endpoint{}, err
	}
	r := postcard.NewReader(b)
	if r.U32() != 0 && r.Err() == nil {
		return Endpoint{}, malformed(kind, errVariant)
	}
	addr, err := read(r)
	if err != nil {
		return Endpoint{}, malformed(kind, err)
	}
	return Endpoint{addr}, nil
}

// String returns the text of an endpoint ticket, never that of a node ticket.
func (t Endpoint) String() string {
	return encode(kindEndpoint, t.Addr.appendLong([]byte{0}))
}

// MarshalText returns the form of [Blob.String].
func (t Blob) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what [ParseBlob] reads.
func (t *Blob) UnmarshalText(text []byte) (err error) {
	*t, err = ParseBlob(string(text))
	return err
}

// MarshalText returns the form of [Endpoint.String].
func (t Endpoint) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what [ParseEndpoint] reads.
func (t *Endpoint) UnmarshalText(text []byte) (err error) {
	*t, err = ParseEndpoint(string(text))
	return err
}

func malformed(kind string, err error) error {
	return fmt.Errorf("%w: %s ticket: %w", ErrMalformed, kind, err)
}

func text32() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

func encode(kind string, b []byte) string { return kind + strings.ToLower(text32().EncodeToString(b)) }

// decode returns the bytes of a ticket of that kind.
func decode(s, kind string) ([]byte, error) {
	if len(s) > maxLen {
		return nil, fmt.Errorf("%w: %d characters are too many for a ticket", ErrMalformed, len(s))
	}
	rest, ok := strings.CutPrefix(s, kind)
	if !ok {
		return nil, otherKind(s, kind)
	}
	b, ok := decode32(rest)
	switch {
	case ok:
		return b, nil
	case kind == kindBlob && strings.HasPrefix(rest, ":"):
		// A development state before 0.9 had a colon after the kind.
		return nil, fmt.Errorf("%w: a blob ticket from before iroh 0.9; ask for one made by a current version", ErrTooOld)
	}
	return nil, malformed(kind, errors.New("not base32"))
}

// decode32 reads base32 in either case. The decoder by itself would skip line
// breaks and drop stray bits at the end.
func decode32(s string) ([]byte, bool) {
	up := strings.ToUpper(s)
	b, err := text32().DecodeString(up)
	return b, err == nil && text32().EncodeToString(b) == up
}

// one names a ticket of a kind.
func one(kind string) string {
	if kind == kindEndpoint {
		return "an " + kind + " ticket"
	}
	return "a " + kind + " ticket"
}

// otherKind says what a text that is no ticket of the wanted kind seems to be.
func otherKind(s, kind string) error {
	switch {
	case strings.HasPrefix(s, kindBlob):
		return fmt.Errorf("%w: a blob ticket names content; wanted %s, which names an endpoint", ErrKind, one(kind))
	case strings.HasPrefix(s, kindEndpoint), strings.HasPrefix(s, kindNode):
		return fmt.Errorf("%w: this ticket names an endpoint but no content; wanted %s", ErrKind, one(kind))
	case strings.HasPrefix(s, kindDoc):
		return fmt.Errorf("%w: document tickets (iroh-docs) are not supported; wanted %s", ErrKind, one(kind))
	case looksOld(s):
		return fmt.Errorf("%w: a ticket from before iroh 0.9, which had no kind in front; ask for one made by a current version", ErrTooOld)
	}
	return fmt.Errorf("%w: wanted %s, which begins with %q", ErrMalformed, one(kind), kind)
}

// looksOld recognises the tickets that had no kind in front: base64url (iroh 0.4)
// or base32 (iroh 0.6 to 0.8) of two 32-byte values and some more.
func looksOld(s string) bool {
	const least = 2*32 + 2
	if b, ok := decode32(s); ok && len(b) >= least {
		return true
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) >= least && !strings.ContainsAny(s, "\r\n")
}
