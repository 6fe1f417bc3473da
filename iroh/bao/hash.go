package bao

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
)

// Hash is the BLAKE3 hash of a blob: 32 bytes. The zero value names no blob.
type Hash [32]byte

// EmptyHash returns the hash of the empty blob, which every node has.
func EmptyHash() Hash {
	return Hash{
		0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49,
		0x9b, 0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62,
	}
}

var errHashText = errors.New("bao: a hash is 64 lower-case hex digits or 52 base32 characters")

// ParseHash reads the text forms that iroh-blobs reads: 64 characters are hex and
// must be lower case; anything else is RFC 4648 base32 without padding in either
// case, which for 32 bytes means 52 characters.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) == 2*len(h) {
		if _, err := hex.Decode(h[:], []byte(s)); err != nil || s != h.String() {
			return Hash{}, errHashText
		}
		return h, nil
	}
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	if len(s) != enc.EncodedLen(len(h)) {
		return Hash{}, errHashText
	}
	up := strings.ToUpper(s)
	b, err := enc.DecodeString(up)
	// The decoder skips line breaks and drops stray bits; only one text may
	// stand for a hash.
	if err != nil || len(b) != len(h) || enc.EncodeToString(b) != up {
		return Hash{}, errHashText
	}
	copy(h[:], b)
	return h, nil
}

// String returns the hash as 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ShortString returns the first 10 hex digits, for logs.
func (h Hash) ShortString() string { return hex.EncodeToString(h[:5]) }

// IsZero reports whether h is the zero value.
func (h Hash) IsZero() bool { return h == Hash{} }

// AppendText appends the form of [Hash.String] to b.
func (h Hash) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, h[:]), nil }

// MarshalText returns the form of [Hash.String].
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText reads what [ParseHash] reads.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
