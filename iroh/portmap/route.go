package portmap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/libp2p/go-netroute"
)

// A route leads to the internet.
type route struct {
	gateway netip.Addr
	local   netip.Addr // ours on the network of the gateway
}

// somewhere is an address that only the default route leads to: of a range that had a use once (RFC 7526). Nothing is
// sent there.
func somewhere() net.IP { return net.IPv4(192, 88, 99, 1) }

// findRoute returns the way to the gateway, which is that of the default route if none is given.
func findRoute(gateway netip.Addr) (route, error) {
	if !gateway.IsValid() {
		table, err := netroute.New()
		if err != nil {
			return route{}, fmt.Errorf("the routing table cannot be read: %w", err)
		}
		_, ip, _, err := table.Route(somewhere())
		if err != nil {
			return route{}, errors.New("there is no default route: this machine is not connected to the internet over IPv4")
		}
		found, ok := netip.AddrFromSlice(ip)
		if gateway = found.Unmap(); !ok || !gateway.Is4() || gateway.IsUnspecified() {
			return route{}, errors.New("the default route has no gateway")
		}
	}
	// Connecting a datagram socket sends nothing and chooses our address.
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(gateway, ssdpPort)))
	if err != nil {
		return route{}, fmt.Errorf("the gateway %s cannot be reached: %w", gateway, err)
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return route{gateway, local}, nil
}

// usable returns nil if the internet can reach an external address, or else why not, in plain words.
func usable(ip netip.Addr) error {
	switch {
	case !ip.IsValid() || ip.IsUnspecified():
		return errors.New("the gateway has no external address: it is not connected to the internet itself")
	case public(ip):
		return nil
	}
	return fmt.Errorf("the external address of the gateway, %s, is not public: there is a second NAT between it and the internet", ip)
}

// public reports whether an address can be that of a host in the internet. The ranges are those of RFC 6890 that occur on
// the outside of a gateway; those for documentation are left in, since nobody has them.
func public(ip netip.Addr) bool {
	for _, text := range []string{
		"0.0.0.0/8",
		"100.64.0.0/10", // carrier-grade NAT
		"192.0.0.0/24",  // DS-Lite and other ways of IPv4 over IPv6
		"198.18.0.0/15", // benchmarks; used inside some networks
		"240.0.0.0/4",
	} {
		if netip.MustParsePrefix(text).Contains(ip) {
			return false
		}
	}
	return ip.Is4() && ip.IsGlobalUnicast() && !ip.IsPrivate()
}
