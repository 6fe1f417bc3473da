package rpktls

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// Config is what one side brings to handshakes. It may be used for any number of connections at once and must not be
// changed meanwhile.
type Config struct {
	// SecretKey proves who we are. Required.
	SecretKey key.SecretKey

	// ALPN lists the application protocols, each 1 to 255 bytes, at most 32; a server prefers the first. Required.
	ALPN []string

	// PeerID is the endpoint that must be at the other end. Required for a client. A server lets anyone in if it is
	// nil.
	PeerID *key.EndpointID

	// Rand is the source of randoms and ephemeral keys; nil is crypto/rand. Only tests have a reason to set it.
	Rand io.Reader
}

func (cfg *Config) validate(isClient bool) error {
	switch {
	case cfg.SecretKey.IsZero():
		return errors.New("no secret key")
	case isClient && (cfg.PeerID == nil || cfg.PeerID.IsZero()):
		return errors.New("no expected peer")
	case len(cfg.ALPN) == 0:
		return errors.New("no application protocol")
	case len(cfg.ALPN) > maxALPN:
		return errors.New("too many application protocols")
	}
	for _, name := range cfg.ALPN {
		if len(name) == 0 || len(name) > 255 {
			return errors.New("application protocol name is empty or too long")
		}
	}
	return nil
}

// random returns n random bytes.
func (cfg *Config) random(n int) ([]byte, error) {
	source := cfg.Rand
	if source == nil {
		source = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(source, b); err != nil {
		return nil, wire.Internal("reading randomness", err)
	}
	return b, nil
}

// TLSConfig wraps cfg for a quic-go whose crypto setup takes its TLS engine from tls.Config.Rand, when that has a
// method QUICConn, and otherwise uses crypto/tls. A client needs one per expected peer.
//
// The result cannot make a connection with crypto/tls itself: every such handshake fails, for there a server has no
// certificate and a client verifies none.
func TLSConfig(cfg *Config) *tls.Config {
	clone := *cfg
	clone.ALPN = slices.Clone(cfg.ALPN)
	return &tls.Config{
		Rand:                   &engine{config: &clone},
		NextProtos:             slices.Clone(cfg.ALPN),
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		VerifyConnection: func(tls.ConnectionState) error {
			return errors.New("rpktls: crypto/tls cannot do this handshake; quic-go was built without a pluggable engine")
		},
	}
}
