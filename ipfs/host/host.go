// Package host is an IPFS node's place on the network: a libp2p host, and, where
// there is a network to ask, a DHT.
//
// # Transports
//
// TCP, with TLS 1.3 or Noise and Yamux, and QUIC v1. No WebSocket, WebTransport
// or WebRTC. Protocols: identify, ping, and the Amino DHT (/ipfs/kad/1.0.0) with
// its twin for private addresses (/ipfs/lan/kad/1.0.0). No circuit relay, no
// hole punching, no AutoNAT service for others. A local host ([Config].Local)
// has no bootstrap peers, and has a DHT, the private one, only when bootstrap
// peers are named.
//
// # Identity
//
// A peer id is the hash of an Ed25519 public key. The key lives in a file,
// protobuf-marshalled as every Go peer does it: 0x08 0x01 0x12 0x40, 32 bytes of
// seed, 32 bytes of public key. The file must be readable by its owner only.
//
// # Trust
//
// Connections prove peer ids and nothing else; what a peer sends is verified by
// the packages above. What a peer may cost (connections, streams, memory) is
// bounded here, see limits.go.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// ErrNoRouting says that the host has no DHT: it is local, and no bootstrap
// peers are named.
var ErrNoRouting = errors.New("host: no routing")

// userAgent is what identify tells other peers.
const userAgent = "iroh-ipfs-bridge"

// Config says how a host runs. The zero value is a host with a new key, the
// default addresses and the public network.
type Config struct {
	// Key is the identity. Nil reads KeyFile.
	Key crypto.PrivKey
	// KeyFile holds the identity, and is made if it is not there. Empty makes a
	// key that is not kept.
	KeyFile string
	// Listen holds multiaddrs. Nil is port 4021, TCP and QUIC, on every address.
	// Each must be listened on, or New fails; of the defaults IPv6 may be
	// missing.
	Listen []string
	// Local keeps the host off the public network.
	Local bool
	// Bootstrap holds full multiaddrs of peers that the DHT begins with. Nil is
	// the public ones, or, for a local host, no DHT.
	Bootstrap []string
	// Roots lists what to announce again every 22 hours: the roots of what is
	// served. The channel is closed after the last, or when the context ends.
	// Nil announces what Provide was called for, once.
	Roots func(ctx context.Context) (<-chan cid.Cid, error)
	// PortMapping asks the router for the ports that are listened on, by UPnP and
	// NAT-PMP.
	PortMapping bool
	// Quiet is for a host that ends soon: it finds others, and announces nothing,
	// neither Roots nor what Provide is called for. Nobody takes it into their
	// DHT.
	Quiet bool
	// Logger gets what the host has to say. Nil is silent. libp2p itself logs as
	// GOLOG_LOG_LEVEL has it.
	Logger *slog.Logger
}

// Host is a libp2p host with its routing.
type Host struct {
	h       host.Host
	log     *slog.Logger
	router  *router // nil when there is no DHT
	traffic *traffic
	quiet   bool
	closed  sync.Once
	err     error
}

// New starts a host.
func New(ctx context.Context, cfg Config) (*Host, error) {
	h, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return h, nil
}

func start(ctx context.Context, cfg Config) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	bootstrap, err := bootstrapPeers(cfg)
	if err != nil {
		return nil, err
	}
	listen, err := listenAddrs(cfg)
	if err != nil {
		return nil, err
	}
	key, err := identity(cfg)
	if err != nil {
		return nil, err
	}
	traffic := newTraffic()
	h, err := newHost(key, traffic, cfg)
	if err != nil {
		return nil, err
	}
	h.Network().Notify(traffic)
	if err := listenOn(h, listen, cfg.Listen == nil); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	out := &Host{h: h, log: cfg.Logger, traffic: traffic, quiet: cfg.Quiet}
	if len(bootstrap) > 0 {
		if out.router, err = newRouter(h, bootstrap, cfg); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	out.log.Debug("libp2p host started", "peer", h.ID(), "addrs", out.Addrs(), "local", cfg.Local, "dht", out.router != nil)
	return out, nil
}

// newHost makes the libp2p host with exactly the parts that we name. It does not
// listen yet.
func newHost(key crypto.PrivKey, traffic *traffic, cfg Config) (host.Host, error) {
	resources, err := resourceManager()
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, errors.Join(err, conns.Close(), resources.Close())
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.Peerstore(store),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.BandwidthReporter(traffic),
		libp2p.UserAgent(userAgent),
		libp2p.Ping(true),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}
	if cfg.Local {
		// Nobody is to be asked what our address looks like from outside.
		options = append(options, libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery())
	}
	if cfg.PortMapping {
		options = append(options, libp2p.NATPortMap())
	}
	h, err := libp2p.NewWithoutDefaults(options...)
	if err != nil {
		return nil, errors.Join(err, store.Close(), conns.Close(), resources.Close())
	}
	return h, nil
}

// LibP2P returns the libp2p host, for protocols to be added to. It is closed by
// Close.
func (h *Host) LibP2P() host.Host { return h.h }

// ID returns the peer id.
func (h *Host) ID() peer.ID { return h.h.ID() }

// Addrs returns the addresses under which others may reach the host, as full
// multiaddrs, with /p2p/ and the peer id.
func (h *Host) Addrs() []string {
	out := []string{}
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.h.ID(), Addrs: h.h.Addrs()})
	if err != nil {
		return out // the host has an id
	}
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// Connect connects to the peer that a full multiaddr names, unless there is a
// connection to it.
func (h *Host) Connect(ctx context.Context, addr string) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return fmt.Errorf("host: %q is not a multiaddr that ends in /p2p/ID: %w", addr, err)
	}
	if err := h.h.Connect(ctx, *info); err != nil {
		return fmt.Errorf("host: connect: %w", err)
	}
	return nil
}

// Routing returns what finds providers, or nil when there is no DHT.
func (h *Host) Routing() routing.ContentDiscovery {
	if h.router == nil {
		return nil
	}
	return h.router.dht
}

// Provide announces, in the background, that this host serves a root CID. It
// returns ErrNoRouting when there is no DHT to announce to. A quiet host does
// nothing.
func (h *Host) Provide(ctx context.Context, c cid.Cid) error {
	if h.router == nil {
		return ErrNoRouting
	}
	if h.quiet {
		return nil
	}
	if err := h.router.provide(ctx, c); err != nil {
		return fmt.Errorf("host: provide %s: %w", c, err)
	}
	return nil
}

// FindProviders returns up to limit peers that are said to serve a CID. It
// returns ErrNoRouting when there is no DHT to ask.
func (h *Host) FindProviders(ctx context.Context, c cid.Cid, limit int) ([]peer.AddrInfo, error) {
	if h.router == nil {
		return nil, ErrNoRouting
	}
	var out []peer.AddrInfo
	for p := range h.router.dht.FindProvidersAsync(ctx, c, limit) {
		out = append(out, p)
	}
	if err := ctx.Err(); err != nil && len(out) == 0 {
		return nil, fmt.Errorf("host: find providers of %s: %w", c, err)
	}
	return out, nil
}

// Close closes the host: announcing, the DHT, all connections, the sockets.
func (h *Host) Close() error {
	h.closed.Do(func() {
		var errs []error
		if h.router != nil {
			errs = append(errs, h.router.close())
		}
		errs = append(errs, h.h.Close())
		if err := errors.Join(errs...); err != nil {
			h.err = fmt.Errorf("host: close: %w", err)
		}
	})
	return h.err
}
