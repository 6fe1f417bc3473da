//go:build !linux

package iroh

import (
	"net"

	"github.com/quic-go/quic-go"
)

// packetConn returns the socket as it is: quic-go knows the best way to read from it.
func packetConn(udp *net.UDPConn) (conn quic.OOBCapablePacketConn, offload bool) { return udp, false }
