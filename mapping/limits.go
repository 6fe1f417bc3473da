package mapping

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

const (
	// MaxBlock is the largest block, in bytes: 2 MiB, the Bitswap
	// specification's limit. A larger one could never be sent, and would let
	// one row fill a write buffer.
	MaxBlock = 2 << 20
	// MaxMultihash is the longest multihash, in bytes: a digest of 128 bytes
	// and two varints of at most 9. It stops a row whose key is its content.
	MaxMultihash = 128 + 2*9
	// MaxProfile is the longest profile name, in bytes.
	MaxProfile = 64
	// MaxNotes and MaxNote bound what a link says for people: a folder of a
	// million symlinks must be summed up by who writes the notes, or one link
	// would be too large to read and list.
	MaxNotes = 1000
	// MaxNote is the length of one note in bytes.
	MaxNote = 4096
	// MaxRefs is how many rows Refs returns: a blob that many links share (the
	// empty one) must not be able to fill the memory of who asks.
	MaxRefs = 10000
)

// Canonical returns the CID under which links and files are found: the CIDv1
// that says the same. A CID that is undefined stays so.
func Canonical(c cid.Cid) cid.Cid {
	if !c.Defined() || c.Version() == 1 {
		return c
	}
	return cid.NewCidV1(c.Type(), c.Hash())
}

// IsIdentity tells whether a multihash holds its own bytes, so that a block it
// names has no row.
func IsIdentity(m mh.Multihash) bool {
	return len(m) > 0 && m[0] == mh.IDENTITY
}

// CheckMultihash returns an error that wraps [ErrInvalid] unless m is one
// whole multihash within the limits.
func CheckMultihash(m mh.Multihash) error {
	if len(m) > MaxMultihash {
		return fmt.Errorf("%w: multihash of %d bytes, at most %d", ErrInvalid, len(m), MaxMultihash)
	}
	if _, err := mh.Cast(m); err != nil {
		return fmt.Errorf("%w: multihash %x: %w", ErrInvalid, []byte(m), err)
	}
	return nil
}

// CheckCID returns an error that wraps [ErrInvalid] unless c is a defined CID
// whose multihash is within the limits.
func CheckCID(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("%w: undefined CID", ErrInvalid)
	}
	return CheckMultihash(c.Hash())
}

// Check returns an error that wraps [ErrInvalid] unless a store can keep the
// block.
func (b Block) Check() error {
	if err := CheckMultihash(b.Multihash); err != nil {
		return err
	}
	if b.IsNode() && (b.Offset != 0 || b.Length != 0 || len(b.Prefix) != 0 || len(b.Suffix) != 0) {
		return fmt.Errorf("%w: block %x is a range of no blob", ErrInvalid, []byte(b.Multihash))
	}
	if !b.IsNode() && b.Node != nil {
		return fmt.Errorf("%w: block %x is both a node and a range", ErrInvalid, []byte(b.Multihash))
	}
	if b.Length > MaxBlock || b.Size() > MaxBlock {
		return fmt.Errorf("%w: block %x is larger than %d bytes", ErrInvalid, []byte(b.Multihash), MaxBlock)
	}
	if b.Offset > math.MaxInt64-MaxBlock {
		return fmt.Errorf("%w: block %x starts at byte %d", ErrInvalid, []byte(b.Multihash), b.Offset)
	}
	return nil
}

// Check returns an error that wraps [ErrInvalid] unless a store can keep the
// link.
func (l Link) Check() error {
	if err := CheckCID(l.CID); err != nil {
		return err
	}
	if l.Hash == [32]byte{} {
		return fmt.Errorf("%w: link %s has no hash", ErrInvalid, l.CID)
	}
	switch l.Format {
	case FormatBlob, FormatCollection, FormatHashSeq:
	default:
		return fmt.Errorf("%w: link %s has format %q", ErrInvalid, l.CID, l.Format)
	}
	if len(l.Profile) > MaxProfile || !utf8.ValidString(l.Profile) {
		return fmt.Errorf("%w: link %s has a profile name of %d bytes", ErrInvalid, l.CID, len(l.Profile))
	}
	if len(l.Notes) > MaxNotes {
		return fmt.Errorf("%w: link %s has %d notes, at most %d", ErrInvalid, l.CID, len(l.Notes), MaxNotes)
	}
	for _, n := range l.Notes {
		if len(n) > MaxNote || !utf8.ValidString(n) {
			return fmt.Errorf("%w: link %s has a note of %d bytes, at most %d, in UTF-8", ErrInvalid, l.CID, len(n), MaxNote)
		}
	}
	return nil
}
