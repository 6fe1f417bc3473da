package relay

import (
	"crypto/tls"
	"encoding/base64"

	"lukechampine.com/blake3"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// The words of the protocol's handshake.
const (
	authHeader       = "x-iroh-relay-client-auth-v1"
	exporterLabel    = "iroh-relay handshake v1"
	challengeContext = "iroh-relay handshake v1 challenge signature"
)

// answer proves who we are to a relay that sent a challenge.
func answer(secret key.SecretKey, challenge [wire.ChallengeSize]byte) wire.Auth {
	var message [32]byte
	blake3.DeriveKey(message[:], challengeContext, challenge[:])
	return wire.Auth{ID: secret.ID(), Signature: [wire.SignatureSize]byte(secret.Sign(message[:]))}
}

// materialHeader proves who we are by the TLS connection itself. It is empty where that has no keying material to
// export: TLS 1.2 without extended master secrets.
func materialHeader(secret key.SecretKey, state tls.ConnectionState) string {
	id := secret.ID()
	material, err := state.ExportKeyingMaterial(exporterLabel, id[:], 32)
	if err != nil {
		return ""
	}
	return header(secret, [32]byte(material))
}

func header(secret key.SecretKey, material [32]byte) string {
	a := wire.Auth{ID: secret.ID(), Signature: [wire.SignatureSize]byte(secret.Sign(material[:16]))}
	return base64.RawURLEncoding.EncodeToString(wire.AppendKeyMaterialAuth(nil, a, [16]byte(material[16:])))
}
