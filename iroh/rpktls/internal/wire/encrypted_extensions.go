package wire

import (
	"golang.org/x/crypto/cryptobyte"
)

// EncryptedExtensions is the server's answer to what the ClientHello offers beside the key exchange (section 4.3.1):
//
//	extensions<0..2^16-1>
//
// The fields after Extensions are what ParseEncryptedExtensions found in them; an absent one is nil.
type EncryptedExtensions struct {
	Extensions []Extension

	ALPN       []string // one name
	ClientType []byte   // one byte
	ServerType []byte   // one byte
	Params     []byte
}

// NewEncryptedExtensions agrees on raw public keys and an application protocol.
func NewEncryptedExtensions(alpn string, params []byte) *EncryptedExtensions {
	return &EncryptedExtensions{Extensions: []Extension{
		{ExtALPN, names(alpn)},
		{ExtClientCertType, []byte{CertTypeRawPublicKey}},
		{ExtServerCertType, []byte{CertTypeRawPublicKey}},
		{ExtTransportParameters, params},
	}}
}

// Append appends the message.
func (m *EncryptedExtensions) Append(dst []byte) ([]byte, error) {
	return appendMessage(dst, TypeEncryptedExtensions, func(b *cryptobyte.Builder) { addExtensions(b, m.Extensions) })
}

// ParseEncryptedExtensions reads the answer to a NewClientHello. A server may tell its supported_groups for a later
// connection; they are ignored.
func ParseEncryptedExtensions(body []byte) (*EncryptedExtensions, error) {
	m := new(EncryptedExtensions)
	s := cryptobyte.String(body)
	solicited := []uint16{ExtALPN, ExtClientCertType, ExtServerCertType, ExtTransportParameters, ExtSupportedGroups}
	var err error
	if m.Extensions, err = parseExtensions(&s, TypeEncryptedExtensions, solicited); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, malformed(TypeEncryptedExtensions)
	}
	for _, e := range m.Extensions {
		ok := true
		switch e.Type {
		case ExtALPN:
			m.ALPN, ok = readNames(e.Data)
			ok = ok && len(m.ALPN) == 1 // RFC 7301, section 3.1
		case ExtClientCertType:
			m.ClientType, ok = e.Data, len(e.Data) == 1
		case ExtServerCertType:
			m.ServerType, ok = e.Data, len(e.Data) == 1
		case ExtTransportParameters:
			m.Params = e.Data
		case ExtSupportedGroups:
			_, ok = readList16(e.Data)
		}
		if !ok {
			return nil, Fail(DecodeError, "malformed extension %d in EncryptedExtensions", e.Type)
		}
	}
	return m, nil
}
