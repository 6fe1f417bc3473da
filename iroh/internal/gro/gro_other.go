//go:build !linux

package gro

import (
	"net"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// Wrap returns the socket as it is: quic-go knows the best way to read from it.
func Wrap(udp *net.UDPConn) (conn paths.UDP, offload bool) { return udp, false }
