// Package key has the two identities of an iroh endpoint: its public
// [EndpointID] and its [SecretKey].
//
// # Forms
//
// An endpoint id is an Ed25519 public key: 32 bytes, the compressed point of RFC
// 8032 section 5.1.2. A secret key is the 32-byte Ed25519 seed, not the 64-byte
// expanded form. Text forms (iroh-base 1.4):
//
//	hex         64 lower-case digits; what String gives
//	base32      RFC 4648 alphabet, no padding, 52 characters, printed in lower
//	            case, read in either case
//	z-base-32   alphabet ybndrfg8ejkmcpqxot1uwisza345h769, 52 characters; only in
//	            DNS names and pkarr paths, and not read by [ParseEndpointID]
//	SPKI        SubjectPublicKeyInfo of RFC 8410, 44 bytes of DER; what TLS raw
//	            public keys (RFC 7250) carry
//
// A file holds a secret key as hex and a newline, and only its owner may read it.
//
// # Trust
//
// A key is accepted when it is the canonical encoding of a point of the curve that
// is not of small order. A small-order key would verify signatures that nobody
// made. Signatures are checked as strictly as ed25519-dalek's verify_strict does.
// A secret key cannot be compared or printed; no error quotes one.
package key

import (
	"crypto/ed25519"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
)

// EndpointID names an iroh endpoint: its Ed25519 public key. It is comparable; the
// zero value is invalid.
type EndpointID [32]byte

// ErrEndpointID is matched by every error about a malformed endpoint id.
var ErrEndpointID = errors.New("key: invalid endpoint id")

// spkiPrefix is the DER of RFC 8410 before the 32 bytes of key: SEQUENCE (42) {
// SEQUENCE (5) { OID 1.3.101.112 }, BIT STRING (33) with no unused bits }.
const spkiPrefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// ParseEndpointID reads 64 lower-case hex digits or 52 base32 characters in
// either case. The error matches [ErrEndpointID].
func ParseEndpointID(s string) (EndpointID, error) {
	b, ok := parse32(s)
	if !ok {
		return EndpointID{}, errText{"an endpoint id is 64 lower-case hex digits or 52 base32 characters"}
	}
	return EndpointIDFromBytes(b[:])
}

// EndpointIDFromBytes checks that b is a usable public key: 32 bytes, the
// canonical encoding of a point of the curve that is not of small order. The error
// matches [ErrEndpointID].
func EndpointIDFromBytes(b []byte) (EndpointID, error) {
	if len(b) != len(EndpointID{}) {
		return EndpointID{}, errText{"an endpoint id has 32 bytes"}
	}
	id := EndpointID(b)
	switch {
	case smallOrder(id):
		return EndpointID{}, errText{"the public key is of small order"}
	case !onCurve(id):
		return EndpointID{}, errText{"not a point of the curve"}
	}
	return id, nil
}

// EndpointIDFromSPKI reads the 44 bytes that [EndpointID.SPKI] gives and nothing
// else: no other algorithm, no parameters, no bytes after them.
func EndpointIDFromSPKI(der []byte) (EndpointID, error) {
	b, ok := strings.CutPrefix(string(der), spkiPrefix)
	if !ok || len(b) != ed25519.PublicKeySize {
		return EndpointID{}, errText{"not the SubjectPublicKeyInfo of an Ed25519 key"}
	}
	return EndpointIDFromBytes([]byte(b))
}

// errText is an error about an endpoint id.
type errText struct{ text string }

// Error implements error.
func (e errText) Error() string { return "key: " + e.text }

// Is reports whether target is [ErrEndpointID].
func (e errText) Is(target error) bool { return target == ErrEndpointID }

// String returns the id as 64 lower-case hex digits.
func (id EndpointID) String() string { return hex.EncodeToString(id[:]) }

// ShortString returns the first 10 hex digits, for logs.
func (id EndpointID) ShortString() string { return hex.EncodeToString(id[:5]) }

// Base32 returns the id in lower-case base32, 52 characters.
func (id EndpointID) Base32() string { return strings.ToLower(base32Std().EncodeToString(id[:])) }

// Z32 returns the id in z-base-32, 52 characters, as DNS and pkarr use it.
func (id EndpointID) Z32() string {
	return base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding).EncodeToString(id[:])
}

// IsZero reports whether id is the zero value.
func (id EndpointID) IsZero() bool { return id == EndpointID{} }

// AppendText appends the form of [EndpointID.String] to b.
func (id EndpointID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, id[:]), nil }

// MarshalText returns the form of [EndpointID.String].
func (id EndpointID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText reads what [ParseEndpointID] reads.
func (id *EndpointID) UnmarshalText(text []byte) error {
	parsed, err := ParseEndpointID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// SPKI returns the id as SubjectPublicKeyInfo, 44 bytes of DER.
func (id EndpointID) SPKI() []byte { return append([]byte(spkiPrefix), id[:]...) }

// Verify reports whether sig is a signature of msg by the id's secret key. It
// refuses small-order keys and nonces and every non-canonical encoding.
func (id EndpointID) Verify(msg, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize || smallOrder(id) || !canonical(id) || smallOrder([32]byte(sig)) {
		return false
	}
	// crypto/ed25519 refuses a scalar that is not reduced, and compares the nonce
	// point by its canonical encoding; it would take a non-canonical key.
	return ed25519.Verify(id[:], msg, sig)
}

func base32Std() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// parse32 reads 32 bytes as lower-case hex, if s has 64 characters, or base32. Only
// one base32 text, case aside, stands for a value: the decoder would skip line
// breaks and drop stray bits.
func parse32(s string) (b [32]byte, ok bool) {
	if len(s) == 2*len(b) {
		_, err := hex.Decode(b[:], []byte(s))
		return b, err == nil && s == strings.ToLower(s)
	}
	enc := base32Std()
	if len(s) != enc.EncodedLen(len(b)) {
		return b, false
	}
	up := strings.ToUpper(s)
	raw, err := enc.DecodeString(up)
	if err != nil || len(raw) != len(b) || enc.EncodeToString(raw) != up {
		return b, false
	}
	return [32]byte(raw), true
}
