package host

import (
	"fmt"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// defaultListen is where a host listens when it is not told.
func defaultListen() []string {
	return []string{
		"/ip4/0.0.0.0/tcp/4021",
		"/ip4/0.0.0.0/udp/4021/quic-v1",
		"/ip6/::/tcp/4021",
		"/ip6/::/udp/4021/quic-v1",
	}
}

func listenAddrs(cfg Config) ([]ma.Multiaddr, error) {
	list := cfg.Listen
	if list == nil {
		list = defaultListen()
	}
	var out []ma.Multiaddr
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("listen address %q: %w", s, err)
		}
		out = append(out, a)
	}
	return out, nil
}

func bootstrapPeers(cfg Config) ([]peer.AddrInfo, error) {
	if cfg.Bootstrap == nil && !cfg.Local {
		return dht.GetDefaultBootstrapPeerAddrInfos(), nil
	}
	var out []peer.AddrInfo
	for _, s := range cfg.Bootstrap {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer %q is not a multiaddr that ends in /p2p/ID: %w", s, err)
		}
		out = append(out, *info)
	}
	return out, nil
}

// listenOn listens on each address; libp2p by itself is content when one of them
// works. Of the defaults those for IPv6 may be missing.
func listenOn(h host.Host, addrs []ma.Multiaddr, defaults bool) error {
	for _, a := range addrs {
		if err := h.Network().Listen(a); err != nil {
			if _, e := a.ValueForProtocol(ma.P_IP6); e == nil && defaults {
				continue
			}
			return fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return nil
}
