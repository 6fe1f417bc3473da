package wire

import (
	"bytes"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
)

// ServerHello is the server's choice (section 4.1.3):
//
//	legacy_version(2) random(32) session_id_echo<0..32> cipher_suite(2) compression(1) extensions<6..2^16-1>
//
// A HelloRetryRequest is the same message with a special random; its key_share is a bare group, and it may carry a
// cookie.
type ServerHello struct {
	LegacyVersion uint16
	Random        []byte
	SessionID     []byte
	Suite         uint16
	Compression   uint8
	Extensions    []Extension

	IsRetry    bool
	Version    uint16   // 0 when supported_versions is absent
	Share      KeyShare // in a ServerHello; Group is 0 when key_share is absent
	RetryGroup uint16   // in a HelloRetryRequest, likewise
	Cookie     []byte   // in a HelloRetryRequest; nil when absent
}

// retryRandom marks a HelloRetryRequest: the SHA-256 of the name (section 4.1.3).
func retryRandom() []byte {
	sum := sha256.Sum256([]byte("HelloRetryRequest"))
	return sum[:]
}

// hasDowngradeSentinel reports whether a server that speaks TLS 1.3 says that it was talked into an older version: the
// last eight bytes of its random are DOWNGRD and 0 or 1.
func hasDowngradeSentinel(random []byte) bool {
	tail := random[RandomSize-8:]
	return bytes.HasPrefix(tail, []byte("DOWNGRD")) && tail[7] <= 1
}

// NewServerHello answers with the chosen suite and the server's X25519 share.
func NewServerHello(random []byte, suite uint16, share []byte) *ServerHello {
	return &ServerHello{
		LegacyVersion: VersionTLS12,
		Random:        random,
		Suite:         suite,
		Extensions: []Extension{
			{ExtSupportedVersions, number16(VersionTLS13)},
			{ExtKeyShare, keyShare(GroupX25519, share)},
		},
	}
}

// NewHelloRetryRequest asks for an X25519 share.
func NewHelloRetryRequest(suite uint16) *ServerHello {
	return &ServerHello{
		LegacyVersion: VersionTLS12,
		Random:        retryRandom(),
		Suite:         suite,
		Extensions: []Extension{
			{ExtSupportedVersions, number16(VersionTLS13)},
			{ExtKeyShare, number16(GroupX25519)},
		},
	}
}

// Append appends the message.
func (m *ServerHello) Append(dst []byte) ([]byte, error) {
	return appendMessage(dst, TypeServerHello, func(b *cryptobyte.Builder) {
		b.AddUint16(m.LegacyVersion)
		b.AddBytes(m.Random)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.SessionID) })
		b.AddUint16(m.Suite)
		b.AddUint8(m.Compression)
		addExtensions(b, m.Extensions)
	})
}

// ParseServerHello reads a ServerHello or a HelloRetryRequest that answers a NewClientHello.
func ParseServerHello(body []byte) (*ServerHello, error) {
	m := new(ServerHello)
	s := cryptobyte.String(body)
	if !s.ReadUint16(&m.LegacyVersion) || !s.ReadBytes(&m.Random, RandomSize) ||
		!s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.SessionID)) || len(m.SessionID) > 32 ||
		!s.ReadUint16(&m.Suite) || !s.ReadUint8(&m.Compression) {
		return nil, malformed(TypeServerHello)
	}
	if hasDowngradeSentinel(m.Random) {
		return nil, Fail(IllegalParameter, "downgrade sentinel in ServerHello")
	}
	kind := TypeServerHello
	if m.IsRetry = bytes.Equal(m.Random, retryRandom()); m.IsRetry {
		kind = typeHelloRetryRequest
	}
	if s.Empty() { // which is allowed up to TLS 1.2, and so has no version for the client to accept
		return m, nil
	}
	// The cookie is the one extension that a server may send unasked, in a HelloRetryRequest.
	solicited := []uint16{ExtSupportedVersions, ExtKeyShare, ExtCookie}
	var err error
	if m.Extensions, err = parseExtensions(&s, kind, solicited); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, malformed(kind)
	}
	for _, e := range m.Extensions {
		if !m.parseExtension(e) {
			return nil, Fail(DecodeError, "malformed extension %d in %s", e.Type, kind)
		}
	}
	return m, nil
}

func (m *ServerHello) parseExtension(e Extension) (ok bool) {
	s := cryptobyte.String(e.Data)
	switch {
	case e.Type == ExtSupportedVersions:
		ok = s.ReadUint16(&m.Version)
	case e.Type == ExtCookie:
		ok = s.ReadUint16LengthPrefixed((*cryptobyte.String)(&m.Cookie)) && len(m.Cookie) > 0
	case m.IsRetry: // key_share, as below
		ok = s.ReadUint16(&m.RetryGroup)
	default:
		m.Share, ok = readKeyShare(&s)
	}
	return ok && s.Empty()
}
