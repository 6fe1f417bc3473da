package iroh

import (
	"net"
	"net/netip"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// punch opens our NAT for a client that had to come through a relay, see package punch. It does not wait.
func (e *Endpoint) punch(peer key.EndpointID, to []netip.AddrPort) {
	select {
	case e.punching <- struct{}{}:
	default:
		return
	}
	if !e.begin() {
		<-e.punching
		return
	}
	go func() {
		defer e.wg.Done()
		defer func() { <-e.punching }()
		pause := time.NewTimer(0)
		defer pause.Stop()
		for range punches {
			select {
			case <-pause.C:
			case <-e.done:
				return
			}
			for _, a := range to {
				if dialable(a) && (!a.Addr().IsLoopback() || e.socket.local.Addr().IsLoopback()) {
					// A datagram that is lost, or cannot be sent, is as good as none.
					_, _ = e.socket.conn.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(a))
				}
			}
			pause.Reset(punchPause)
		}
		e.log.Debug("iroh endpoint has sent to a client that came through a relay", "peer", peer.ShortString(), "addrs", to)
	}()
}
