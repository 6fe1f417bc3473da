package peer

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/iroh-ipfs/bridge/integration/netns"
)

// Place is where a peer runs: a network namespace, and its address there. The zero value is 127.0.0.1 of the caller's own.
type Place struct {
	Netns string
	Addr  netip.Addr
}

// At is the place of a host of a lab, with the address that it has on its first segment.
func At(h *netns.Host) Place { return Place{Netns: h.Namespace, Addr: h.Addrs[0]} }

// IP is the address to listen on.
func (p Place) IP() netip.Addr {
	if p.Addr.IsValid() {
		return p.Addr
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// port is a port of the address.
func (p Place) port(port int) netip.AddrPort { return netip.AddrPortFrom(p.IP(), uint16(port)) }

// transport is for requests that are made in the namespace. Whoever takes it closes its idle connections.
func (p Place) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = netns.Do(p.Netns, func() error {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}
}

// freePorts returns ports that were free for TCP and UDP a moment ago.
func (p Place) freePorts(n int) (ports []int, err error) {
	err = netns.Do(p.Netns, func() error {
		ports, err = freePorts(p.IP(), n)
		return err
	})
	return ports, err
}
