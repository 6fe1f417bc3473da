package iroh

import (
	"net"
	"net/netip"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// A target is where a peer may be: at a direct address or at a relay.
type target struct {
	addr  netip.AddrPort
	relay relay.URL // zero for a direct address
}

func (t target) String() string {
	if t.relay.IsZero() {
		return t.addr.String()
	}
	return t.relay.String()
}

// targets are where addr says that a peer is, direct addresses and relays apart.
func (e *Endpoint) targets(addr ticket.EndpointAddr) (direct []netip.AddrPort, relays []relay.URL, err error) {
	if e.relays != nil {
		for _, text := range addr.Relays {
			u, err := relay.ParseURL(text)
			if err == nil && len(relays) < maxDialRelays && !slices.Contains(relays, u) {
				relays = append(relays, u)
			}
		}
	}
	direct, err = e.directTargets(addr)
	if len(relays) > 0 {
		err = nil
	}
	return direct, relays, err
}

// directTargets are the addresses of addr that the socket can reach, in the order in which to dial them: as given, but the
// families in turns, so that one that leads nowhere does not hold up the other.
func (e *Endpoint) directTargets(addr ticket.EndpointAddr) ([]netip.AddrPort, error) {
	usable := 0
	var families [2][]netip.AddrPort // IPv6, IPv4
	seen := map[netip.AddrPort]bool{}
	for _, a := range addr.Direct {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if !dialable(a) || seen[a] {
			continue
		}
		seen[a] = true
		usable++
		switch {
		case a.Addr().Is6() && e.socket.v6:
			families[0] = append(families[0], a)
		case a.Addr().Is4() && e.socket.v4:
			families[1] = append(families[1], a)
		}
	}
	var out []netip.AddrPort
	for i := 0; len(out) < maxDialAddrs && (i < len(families[0]) || i < len(families[1])); i++ {
		for _, f := range families {
			if i < len(f) && len(out) < maxDialAddrs {
				out = append(out, f[i])
			}
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case usable > 0:
		return nil, &familyError{listen: e.socket.local}
	case len(addr.Relays) > 0:
		return nil, ErrRelayOnly
	}
	return nil, ErrNoAddress
}

// familyError is an ErrNoAddress for a peer with addresses of the other IP version only.
type familyError struct{ listen netip.AddrPort }

func (e *familyError) Error() string {
	return "the peer has no address of the IP version of " + e.listen.String() + ": listen on [::] to have both"
}

func (e *familyError) Unwrap() error { return ErrNoAddress }

// dialable reports whether a can be the address of one host's UDP socket.
func dialable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !paths.Relayed(ip)
}

// interfaceAddrs returns the addresses of all interfaces that are up.
func interfaceAddrs() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil // loopback takes their place
	}
	var out []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					out = append(out, ip.Unmap())
				}
			}
		}
	}
	return out
}

// everywhere is where the machine itself reaches the socket, loopback among it.
func (s *socket) everywhere() []netip.AddrPort {
	if !s.local.Addr().IsUnspecified() {
		return []netip.AddrPort{s.local}
	}
	var out []netip.AddrPort
	for _, ip := range interfaceAddrs() {
		out = append(out, netip.AddrPortFrom(ip, s.local.Port()))
	}
	return out
}

// expand turns a socket bound to a wildcard into the addresses, out of those of this machine, on which others can dial it.
func expand(s *socket, machine []netip.Addr) []netip.AddrPort {
	var out, loopback []netip.AddrPort
	for _, ip := range machine {
		a := netip.AddrPortFrom(ip, s.local.Port())
		switch {
		case ip.Is4() && !s.v4, ip.Is6() && !s.v6, ip.IsLinkLocalUnicast(), !dialable(a):
		case ip.IsLoopback():
			loopback = append(loopback, a)
		default:
			out = append(out, a)
		}
	}
	if len(out) > 0 {
		return out
	}
	if len(loopback) > 0 {
		return loopback
	}
	if s.v4 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.local.Port())}
	}
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Loopback(), s.local.Port())}
}
