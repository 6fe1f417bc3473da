package iroh

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"
)

// socket is a UDP socket and what is known about it.
type socket struct {
	conn    quic.OOBCapablePacketConn
	local   netip.AddrPort // may be a wildcard
	v4, v6  bool           // IP versions that it speaks
	offload bool           // the kernel coalesces what is received
}

// openSocket binds a socket to address, which is IP:port.
func openSocket(address string) (*socket, error) {
	bind, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("iroh: listen: %q is not an IP address and a port, such as %s", address, DefaultListen)
	}
	ip := bind.Addr().Unmap()
	network := "udp4"
	if ip.Is6() {
		network = "udp6"
		if ip.IsUnspecified() {
			network = "udp" // both
		}
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, bind.Port())))
	if err != nil {
		return nil, fmt.Errorf("iroh: %w: is another program there? port 0 takes a free one", err)
	}
	s := &socket{local: addrPort(udp.LocalAddr()), v4: network != "udp6", v6: network != "udp4"}
	s.conn, s.offload = packetConn(udp)
	return s, nil
}
