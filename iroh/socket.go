package iroh

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"

	"github.com/iroh-ipfs/bridge/iroh/internal/gro"
	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// idLength is the length of the connection ids that we give to peers.
const idLength = 8

// socket is a UDP socket and what is known about it.
type socket struct {
	conn    *paths.Conn // what quic-go reads and writes: the socket and what relays carry
	udp     paths.UDP
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
	s.udp, s.offload = gro.Wrap(udp)
	reader, ok := s.udp.(paths.BatchReader)
	if !ok {
		reader = ipv4.NewPacketConn(udp) // it reads IPv6 sockets just as well
	}
	s.conn = paths.New(s.udp, reader, idLength)
	return s, nil
}
