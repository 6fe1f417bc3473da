package iroh

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/home"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// DefaultListen is where an endpoint listens when Config.Listen is empty.
const DefaultListen = "0.0.0.0:4022"

// Config says who an endpoint is and where it listens. Everything but the key may be left zero.
type Config struct {
	// SecretKey is the identity. Required.
	SecretKey key.SecretKey

	// Listen is the UDP address to listen on, IP:port; empty is DefaultListen. Port 0 takes a free one. The address
	// 0.0.0.0 is all IPv4 addresses of the machine, [::] all IPv4 and IPv6 ones.
	Listen string

	// ALPNs lists the protocols of connections that are accepted, the preferred one first. Without any the endpoint
	// only dials.
	ALPNs []string

	// Announce lists addresses under which others reach this endpoint and which it cannot know itself, such as that of
	// a port forwarding. Addr has them before its own.
	Announce []netip.AddrPort

	// Relays are the relays of which the closest becomes the endpoint's home, where others reach it who cannot do so
	// directly. With any, the relays that peers' addresses name are used as well; without, none is. [relay.Public] lists
	// those that n0 runs for everybody.
	Relays relay.Map

	// RelayRoots are trusted to certify relays; nil are those of the system.
	RelayRoots *x509.CertPool

	// HideAddrs keeps the direct addresses from peers that come through a relay. Without it endpoints of this package are told them in
	// the handshake, so that they can go on directly, although they knew no more than the id or the relay.
	HideAddrs bool

	// Resolver finds peers of which only the id is known, or that do not answer where they are said to be. Nil: none.
	// [*discovery.Resolver] is one. It may only be closed after the endpoint.
	Resolver Resolver

	// PortMapper maps the endpoint's UDP port at the gateway; Addr has the address that it got. Nil: none. It may only be
	// closed after the endpoint.
	PortMapper PortMapper

	// Logger gets what is of use to an operator; nil drops it.
	Logger *slog.Logger

	// HandshakeTimeout is how long a handshake may take, zero is 10 s. An attempt to which nobody answers at all ends
	// after half of it.
	HandshakeTimeout time.Duration

	// IdleTimeout closes a connection on which nothing arrived for so long, zero is 30 s. Every KeepAlive, zero is 5 s,
	// an idle connection sends a PING.
	IdleTimeout, KeepAlive time.Duration
}

// A Resolver finds out where an endpoint may be reached.
type Resolver interface {
	// Follow calls yield with all that is known of an endpoint, and again whenever there is more, until nothing more can
	// come, yield returns false or ctx is done. Its error says why there was nothing at all.
	Follow(ctx context.Context, id key.EndpointID, yield func(ticket.EndpointAddr) bool) error
}

// A PortMapper has a UDP port mapped at the gateway of the network.
type PortMapper interface {
	External() netip.AddrPort // by which others reach the port; zero while there is none
	Changed() <-chan struct{} // closed and replaced when External changes
}

// filled returns cfg with defaults in the place of zeros, or an error that names the unusable field.
func (cfg Config) filled() (Config, error) {
	if cfg.SecretKey.IsZero() {
		return cfg, errors.New("iroh: config: no secret key")
	}
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if len(cfg.ALPNs) > maxALPNs {
		return cfg, fmt.Errorf("iroh: config: more than %d protocols", maxALPNs)
	}
	for _, name := range cfg.ALPNs {
		if err := checkALPN(name); err != nil {
			return cfg, err
		}
	}
	cfg.ALPNs, cfg.Announce, cfg.Relays = slices.Clone(cfg.ALPNs), slices.Clone(cfg.Announce), slices.Clone(cfg.Relays)
	for _, a := range cfg.Announce {
		if !dialable(a) {
			return cfg, fmt.Errorf("iroh: config: nobody can dial the announced address %s", a)
		}
	}
	if len(cfg.Relays) > home.MaxRelays/2 || slices.ContainsFunc(cfg.Relays, func(n relay.Node) bool { return n.URL.IsZero() }) {
		return cfg, fmt.Errorf("iroh: config: relays must be URLs and no more than %d", home.MaxRelays/2)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&cfg.HandshakeTimeout, 10 * time.Second}, {&cfg.IdleTimeout, 30 * time.Second}, {&cfg.KeepAlive, 5 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < 0 {
			return cfg, errors.New("iroh: config: a timeout is negative")
		}
	}
	return cfg, nil
}

func checkALPN(name string) error {
	if len(name) == 0 || len(name) > maxALPNLength {
		return fmt.Errorf("iroh: a protocol name (ALPN) has 1 to %d bytes, not %d", maxALPNLength, len(name))
	}
	return nil
}

// quicConfig is what both directions have in common.
func (cfg Config) quicConfig() *quic.Config {
	return &quic.Config{
		Versions:                   []quic.Version{quic.Version1},
		HandshakeIdleTimeout:       cfg.HandshakeTimeout / 2, // quic-go gives a whole handshake twice this
		MaxIdleTimeout:             cfg.IdleTimeout,
		KeepAlivePeriod:            cfg.KeepAlive,
		MaxStreamReceiveWindow:     maxStreamWindow,
		MaxConnectionReceiveWindow: maxConnWindow,
		MaxIncomingStreams:         maxStreams,
		MaxIncomingUniStreams:      -1, // none
	}
}

// resetKey makes the tokens of stateless resets (RFC 9000, section 10.3). It comes from the secret key, so that peers of
// a process that was killed learn of that from the next one on the same port, instead of waiting for a timeout.
// Ed25519 signatures are deterministic and this one is never shown.
func resetKey(secret key.SecretKey) *quic.StatelessResetKey {
	k := quic.StatelessResetKey(sha256.Sum256(secret.Sign([]byte("github.com/iroh-ipfs/bridge/iroh stateless reset key v1"))))
	return &k
}
