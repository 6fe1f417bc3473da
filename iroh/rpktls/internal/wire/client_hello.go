package wire

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// KeyShare is one offer of a key exchange: a named group and its public value.
type KeyShare struct {
	Group uint16
	Data  []byte
}

// ClientHello is the first message (section 4.1.2):
//
//	legacy_version(2) random(32) session_id<0..32> cipher_suites<2..2^16-2> compression<1..255> extensions<8..2^16-1>
//
// The fields after Extensions are what ParseClientHello found in them; an absent one is nil.
type ClientHello struct {
	LegacyVersion uint16
	Random        []byte
	SessionID     []byte
	Suites        []uint16
	Compression   []byte
	Extensions    []Extension

	Versions    []uint16
	Groups      []uint16
	Signatures  []uint16
	Shares      []KeyShare // empty, too, when the list is
	ALPN        []string
	ClientTypes []byte
	ServerTypes []byte
	Params      []byte
}

// NewClientHello is the hello of this project's clients. It has no server_name, and no psk_key_exchange_modes, which
// tells servers that tickets are of no use.
func NewClientHello(random []byte, suites []uint16, share []byte, alpn []string, params []byte) *ClientHello {
	return &ClientHello{
		LegacyVersion: VersionTLS12,
		Random:        random,
		Suites:        suites,
		Compression:   []byte{0},
		Extensions: []Extension{
			{ExtSupportedVersions, append([]byte{2}, number16(VersionTLS13)...)},
			{ExtSupportedGroups, list16(GroupX25519)},
			{ExtSignatureAlgorithms, list16(SchemeEd25519)},
			{ExtKeyShare, vector16(keyShare(GroupX25519, share))},
			{ExtALPN, names(alpn...)},
			{ExtClientCertType, []byte{1, CertTypeRawPublicKey}},
			{ExtServerCertType, []byte{1, CertTypeRawPublicKey}},
			{ExtTransportParameters, params},
		},
	}
}

// SetCookie adds the cookie of a HelloRetryRequest.
func (m *ClientHello) SetCookie(cookie []byte) {
	m.Extensions = append(m.Extensions, Extension{ExtCookie, vector16(cookie)})
}

// Append appends the message.
func (m *ClientHello) Append(dst []byte) ([]byte, error) {
	return appendMessage(dst, TypeClientHello, func(b *cryptobyte.Builder) {
		b.AddUint16(m.LegacyVersion)
		b.AddBytes(m.Random)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.SessionID) })
		b.AddBytes(list16(m.Suites...))
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Compression) })
		addExtensions(b, m.Extensions)
	})
}

// ParseClientHello reads a ClientHello.
func ParseClientHello(body []byte) (*ClientHello, error) {
	m := new(ClientHello)
	s := cryptobyte.String(body)
	var suites, compression cryptobyte.String
	if !s.ReadUint16(&m.LegacyVersion) || !s.ReadBytes(&m.Random, RandomSize) ||
		!s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.SessionID)) || len(m.SessionID) > 32 ||
		!s.ReadUint16LengthPrefixed(&suites) || suites.Empty() || len(suites)%2 != 0 ||
		!s.ReadUint8LengthPrefixed(&compression) || compression.Empty() {
		return nil, malformed(TypeClientHello)
	}
	m.Suites, m.Compression = numbers16(suites), compression
	if s.Empty() { // which is allowed up to TLS 1.2
		return nil, Fail(ProtocolVersion, "ClientHello without extensions")
	}
	var err error
	if m.Extensions, err = parseExtensions(&s, TypeClientHello, nil); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, malformed(TypeClientHello)
	}
	for i, e := range m.Extensions {
		if e.Type == ExtPreSharedKey && i != len(m.Extensions)-1 {
			return nil, Fail(IllegalParameter, "pre_shared_key is not the last extension of ClientHello")
		}
		if err := m.parseExtension(e); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *ClientHello) parseExtension(e Extension) error {
	ok := true
	switch e.Type {
	case ExtSupportedVersions:
		m.Versions, ok = readVersions(e.Data)
	case ExtSupportedGroups:
		m.Groups, ok = readList16(e.Data)
	case ExtSignatureAlgorithms:
		m.Signatures, ok = readList16(e.Data)
	case ExtALPN:
		m.ALPN, ok = readNames(e.Data)
	case ExtClientCertType:
		m.ClientTypes, ok = readBytes8(e.Data)
	case ExtServerCertType:
		m.ServerTypes, ok = readBytes8(e.Data)
	case ExtPSKModes:
		_, ok = readBytes8(e.Data)
	case ExtTransportParameters:
		m.Params = e.Data
	case ExtEarlyData:
		ok = len(e.Data) == 0
	case ExtServerName:
		ok = validServerName(e.Data)
	case ExtKeyShare:
		return m.parseKeyShares(e.Data)
	}
	if !ok {
		return Fail(DecodeError, "malformed extension %d in ClientHello", e.Type)
	}
	return nil
}

// parseKeyShares reads client_shares<0..2^16-1> of group(2) key_exchange<1..2^16-1>. No shares at all is a request for
// a HelloRetryRequest.
func (m *ClientHello) parseKeyShares(data []byte) error {
	s := cryptobyte.String(data)
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return Fail(DecodeError, "malformed key_share in ClientHello")
	}
	for !list.Empty() {
		share, ok := readKeyShare(&list)
		switch {
		case !ok:
			return Fail(DecodeError, "malformed key_share in ClientHello")
		case len(m.Shares) == MaxKeyShares:
			return Fail(DecodeError, "more than %d key shares in ClientHello", MaxKeyShares)
		case m.Share(share.Group) != nil:
			return Fail(IllegalParameter, "two key shares for one group in ClientHello")
		}
		m.Shares = append(m.Shares, share)
	}
	return nil
}

// Share is the public value offered for a group, or nil.
func (m *ClientHello) Share(group uint16) []byte {
	i := slices.IndexFunc(m.Shares, func(s KeyShare) bool { return s.Group == group })
	if i < 0 {
		return nil
	}
	return m.Shares[i].Data
}

// IsRetryOf reports whether m is first with only the changes that a HelloRetryRequest allows (section 4.1.2): the key
// shares, the cookie, the padding, early data dropped, PSKs recomputed or dropped.
func (m *ClientHello) IsRetryOf(first *ClientHello) bool {
	return m.LegacyVersion == first.LegacyVersion && bytes.Equal(m.Random, first.Random) &&
		bytes.Equal(m.SessionID, first.SessionID) && slices.Equal(m.Suites, first.Suites) &&
		bytes.Equal(m.Compression, first.Compression) &&
		covers(m.Extensions, first.Extensions) && covers(first.Extensions, m.Extensions)
}

// covers reports whether every extension of b that a retry may not change is in a with the same value.
func covers(a, b []Extension) bool {
	for _, e := range b {
		switch e.Type {
		case ExtKeyShare, ExtCookie, ExtPadding, ExtEarlyData, ExtPreSharedKey:
			continue
		}
		if other := Find(a, e.Type); other == nil || !bytes.Equal(other.Data, e.Data) {
			return false
		}
	}
	return true
}

// validServerName checks the form of server_name (RFC 6066, section 3); the name itself is ignored.
func validServerName(data []byte) bool {
	s := cryptobyte.String(data)
	var list, name cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		if !list.Skip(1) || !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return false
		}
	}
	return true
}
