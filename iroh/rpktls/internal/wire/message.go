package wire

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Type is the first byte of a handshake message (RFC 8446, section 4).
type Type uint8

// The types that are sent, accepted or refused by name.
const (
	TypeClientHello         Type = 1
	TypeServerHello         Type = 2 // and HelloRetryRequest
	TypeNewSessionTicket    Type = 4
	TypeEncryptedExtensions Type = 8
	TypeCertificate         Type = 11
	TypeCertificateRequest  Type = 13
	TypeCertificateVerify   Type = 15
	TypeFinished            Type = 20
	TypeKeyUpdate           Type = 24
	TypeMessageHash         Type = 254 // in transcripts only

	// typeHelloRetryRequest never appears on the wire: a HelloRetryRequest is a ServerHello with a special random. The
	// value tells the two apart where other rules hold for them.
	typeHelloRetryRequest Type = 6
)

// HeaderSize is the length of a message's type and length.
const HeaderSize = 4

// Numbers that have a meaning in more than one message.
const (
	VersionTLS12 uint16 = 0x0303 // stands in the frozen version fields of TLS 1.3
	VersionTLS13 uint16 = 0x0304

	GroupX25519   uint16 = 0x001d
	SchemeEd25519 uint16 = 0x0807

	CertTypeRawPublicKey byte = 2 // RFC 7250

	RandomSize = 32
	ShareSize  = 32 // an X25519 public key
)

// String is the name in RFC 8446.
func (t Type) String() string {
	switch t {
	case TypeClientHello:
		return "ClientHello"
	case TypeServerHello:
		return "ServerHello"
	case typeHelloRetryRequest:
		return "HelloRetryRequest"
	case TypeNewSessionTicket:
		return "NewSessionTicket"
	case TypeEncryptedExtensions:
		return "EncryptedExtensions"
	case TypeCertificate:
		return "Certificate"
	case TypeCertificateRequest:
		return "CertificateRequest"
	case TypeCertificateVerify:
		return "CertificateVerify"
	case TypeFinished:
		return "Finished"
	case TypeKeyUpdate:
		return "KeyUpdate"
	default:
		return fmt.Sprintf("message of type %d", uint8(t))
	}
}

// appendMessage appends a message whose body f adds.
func appendMessage(dst []byte, t Type, f func(b *cryptobyte.Builder)) ([]byte, error) {
	b := cryptobyte.NewBuilder(dst)
	b.AddUint8(uint8(t))
	b.AddUint24LengthPrefixed(f)
	raw, err := b.Bytes()
	if err != nil {
		return nil, Internal("encoding a "+t.String(), err)
	}
	return raw, nil
}
