//go:build !linux

package iroh

import (
	"net"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// packetConn returns the socket as it is: quic-go knows the best way to read from it.
func packetConn(udp *net.UDPConn) (conn paths.UDP, offload bool) { return udp, false }
