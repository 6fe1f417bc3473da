package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// AppendCertificateRequest appends a CertificateRequest (section 4.3.2) for an Ed25519 key:
//
//	context<0..2^8-1> extensions<2..2^16-1>
//
// The context is empty during a handshake.
func AppendCertificateRequest(dst []byte) ([]byte, error) {
	return appendMessage(dst, TypeCertificateRequest, func(b *cryptobyte.Builder) {
		b.AddUint8(0)
		addExtensions(b, []Extension{{ExtSignatureAlgorithms, list16(SchemeEd25519)}})
	})
}

// ParseCertificateRequest checks a request, and that an Ed25519 key may answer it. Unknown extensions are ignored, as
// section 4.2 demands of this message.
func ParseCertificateRequest(body []byte) error {
	s := cryptobyte.String(body)
	var context cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) {
		return malformed(TypeCertificateRequest)
	}
	list, err := parseExtensions(&s, TypeCertificateRequest, nil)
	if err != nil {
		return err
	}
	if !s.Empty() {
		return malformed(TypeCertificateRequest)
	}
	if !context.Empty() {
		return Fail(IllegalParameter, "CertificateRequest with a context during the handshake")
	}
	e := Find(list, ExtSignatureAlgorithms)
	if e == nil {
		return Fail(MissingExtension, "CertificateRequest without signature_algorithms")
	}
	schemes, ok := readList16(e.Data)
	if !ok {
		return malformed(TypeCertificateRequest)
	}
	if !slices.Contains(schemes, SchemeEd25519) {
		return Fail(HandshakeFailure, "server does not accept Ed25519 keys")
	}
	return nil
}
