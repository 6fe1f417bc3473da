package key

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// ErrSecretKey says that a text is not a secret key. It never quotes the text.
var ErrSecretKey = errors.New("key: a secret key is 64 lower-case hex digits or 52 base32 characters")

// redacted is what every way of printing a secret key prints.
const redacted = "key.SecretKey(redacted)"

// SecretKey is an endpoint's Ed25519 seed. It cannot be compared with ==, and
// nothing prints it: the seed sits behind a function, so that printers that work
// by reflection, also inside other structs, find no bytes. The zero value is
// invalid; signing with it panics. It is safe for concurrent use.
type SecretKey struct {
	private func() ed25519.PrivateKey
}

// GenerateSecretKey makes a new key from the system's random source.
func GenerateSecretKey() (SecretKey, error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return SecretKey{}, fmt.Errorf("key: %w", err)
	}
	return SecretKeyFromSeed(seed), nil
}

// SecretKeyFromSeed returns the key with that seed.
func SecretKeyFromSeed(seed [32]byte) SecretKey {
	private := ed25519.NewKeyFromSeed(seed[:])
	return SecretKey{func() ed25519.PrivateKey { return private }}
}

// ParseSecretKey reads the forms that iroh's programs take in IROH_SECRET: 64
// lower-case hex digits or 52 base32 characters in either case.
func ParseSecretKey(s string) (SecretKey, error) {
	seed, ok := parse32(s)
	if !ok {
		return SecretKey{}, ErrSecretKey
	}
	return SecretKeyFromSeed(seed), nil
}

// IsZero reports whether k is the zero value.
func (k SecretKey) IsZero() bool { return k.private == nil }

// ID returns the public half.
func (k SecretKey) ID() EndpointID { return EndpointID(k.private()[32:]) }

// Sign returns the 64-byte Ed25519 signature of msg (RFC 8032, no prehash).
func (k SecretKey) Sign(msg []byte) []byte { return ed25519.Sign(k.private(), msg) }

// Equal reports in constant time whether both keys are the same. Zero keys equal
// nothing.
func (k SecretKey) Equal(o SecretKey) bool {
	return !k.IsZero() && !o.IsZero() && subtle.ConstantTimeCompare(k.private(), o.private()) == 1
}

// Format implements fmt.Formatter: the same redacted text under every verb.
func (k SecretKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements slog.LogValuer.
func (k SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns the redacted text, for encoding/json and its like.
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
