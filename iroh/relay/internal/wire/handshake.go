package wire

import (
	"unicode/utf8"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// Sizes of the parts of the handshake.
const (
	ChallengeSize = 16
	SignatureSize = 64
)

// ParseChallenge reads the body of a ServerChallenge.
func ParseChallenge(body []byte) (challenge [ChallengeSize]byte, err error) {
	if len(body) != ChallengeSize {
		return challenge, ErrSize
	}
	return [ChallengeSize]byte(body), nil
}

// AppendChallenge appends a ServerChallenge frame.
func AppendChallenge(b []byte, challenge [ChallengeSize]byte) []byte {
	return append(append(b, byte(ServerChallenge)), challenge[:]...)
}

// Auth says who a client is and proves it by a signature of the challenge.
type Auth struct {
	ID        key.EndpointID
	Signature [SignatureSize]byte
}

// ParseAuth reads the body of a ClientAuth. The signature is not verified.
func ParseAuth(body []byte) (a Auth, err error) {
	if len(body) != len(a.ID)+1+SignatureSize || body[len(a.ID)] != SignatureSize {
		return a, ErrSize
	}
	copy(a.ID[:], body)
	copy(a.Signature[:], body[len(a.ID)+1:])
	return a, nil
}

// AppendAuth appends a ClientAuth frame.
func AppendAuth(b []byte, a Auth) []byte {
	b = append(append(b, byte(ClientAuth)), a.ID[:]...)
	return postcard.AppendBytes(b, a.Signature[:])
}

// AppendKeyMaterialAuth appends what the header x-iroh-relay-client-auth-v1 carries in base64url: the id, the signature of
// the first half of the exported keying material, and its second half.
func AppendKeyMaterialAuth(b []byte, a Auth, suffix [16]byte) []byte {
	b = postcard.AppendBytes(append(b, a.ID[:]...), a.Signature[:])
	return append(b, suffix[:]...)
}

// AppendConfirmation appends a ServerConfirmsAuth frame.
func AppendConfirmation(b []byte) []byte { return append(b, byte(ServerConfirmsAuth)) }

// ParseDenial reads the reason in the body of a ServerDeniesAuth.
func ParseDenial(body []byte) (reason string, err error) {
	r := postcard.NewReader(body)
	text := r.Bytes()
	if r.Err() != nil || len(text) > maxText || r.Len() != 0 {
		return "", ErrSize
	}
	if !utf8.Valid(text) {
		return "", ErrText
	}
	return string(text), nil
}

// AppendDenial appends a ServerDeniesAuth frame.
func AppendDenial(b []byte, reason string) []byte {
	return postcard.AppendString(append(b, byte(ServerDeniesAuth)), reason)
}
