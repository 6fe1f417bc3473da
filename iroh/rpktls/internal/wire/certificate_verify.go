package wire

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// AppendCertificateVerify appends a CertificateVerify (section 4.4.3) with an Ed25519 signature of a SignedContent:
//
//	scheme(2) signature<0..2^16-1>
func AppendCertificateVerify(dst, signature []byte) ([]byte, error) {
	return appendMessage(dst, TypeCertificateVerify, func(b *cryptobyte.Builder) {
		b.AddUint16(SchemeEd25519)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(signature) })
	})
}

// ParseCertificateVerify returns the signature.
func ParseCertificateVerify(body []byte) ([]byte, error) {
	s := cryptobyte.String(body)
	var scheme uint16
	var signature cryptobyte.String
	if !s.ReadUint16(&scheme) || !s.ReadUint16LengthPrefixed(&signature) || !s.Empty() {
		return nil, malformed(TypeCertificateVerify)
	}
	if scheme != SchemeEd25519 {
		return nil, Fail(IllegalParameter, "CertificateVerify with a signature scheme that was not offered")
	}
	return signature, nil
}

// SignedContent is what a CertificateVerify signs: 64 spaces, who signs, a zero byte, and the transcript hash up to the
// Certificate. The text keeps a signature of one side from being used as the other's.
func SignedContent(byServer bool, transcriptHash []byte) []byte {
	who := "TLS 1.3, client CertificateVerify\x00"
	if byServer {
		who = "TLS 1.3, server CertificateVerify\x00"
	}
	return append(append(bytes.Repeat([]byte{' '}, 64), who...), transcriptHash...)
}
