package wire

import "golang.org/x/crypto/cryptobyte"

// AppendCertificate appends a Certificate (section 4.4.2):
//
//	context<0..2^8-1> list<0..2^24-1> of { cert_data<1..2^24-1> extensions<0..2^16-1> }
//
// The context is empty during a handshake. With raw public keys there is at most one entry; its data is a
// SubjectPublicKeyInfo.
func AppendCertificate(dst, spki []byte) ([]byte, error) {
	return appendMessage(dst, TypeCertificate, func(b *cryptobyte.Builder) {
		b.AddUint8(0)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(spki) })
			b.AddUint16(0)
		})
	})
}

// ParseCertificate returns the entry's data, or nil when the list is empty. Neither our ClientHello nor our
// CertificateRequest asks for anything that an entry's extensions could answer, so there may be none.
func ParseCertificate(body []byte) ([]byte, error) {
	s := cryptobyte.String(body)
	var context, list, data cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) || !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, malformed(TypeCertificate)
	}
	if !context.Empty() {
		return nil, Fail(IllegalParameter, "Certificate with a context during the handshake")
	}
	if list.Empty() {
		return nil, nil
	}
	if !list.ReadUint24LengthPrefixed(&data) || data.Empty() {
		return nil, malformed(TypeCertificate)
	}
	if _, err := parseExtensions(&list, TypeCertificate, []uint16{}); err != nil {
		return nil, err
	}
	if !list.Empty() {
		return nil, Fail(IllegalParameter, "more than one raw public key in Certificate")
	}
	return data, nil
}
