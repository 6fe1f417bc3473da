package iroh

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// seekDirect moves a connection that was dialed through a relay to the first direct address that proves itself, and tries
// again and again until one does or the connection ends.
func (c *Conn) seekDirect(direct []netip.AddrPort) {
	defer c.endpoint.wg.Done()
	ctx := c.quic.Context()
	for pause := firstSeek; len(direct) > 0 && ctx.Err() == nil; pause = min(2*pause, lastSeek) {
		for _, a := range direct {
			if c.moveTo(ctx, a) {
				return
			}
		}
		sleep(ctx, pause)
	}
}

// moveTo makes a direct address the connection's path if it leads to the peer, which only the peer can prove (RFC 9000,
// section 9).
func (c *Conn) moveTo(ctx context.Context, to netip.AddrPort) bool {
	path, err := c.quic.AddPath(c.endpoint.detour)
	if err != nil {
		return false // the peer does not want it
	}
	c.route.SetDirect(net.UDPAddrFromAddrPort(to))
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if path.Probe(ctx) != nil || path.Switch() != nil {
		path.Close()
		return false
	}
	c.direct.Store(&to)
	c.endpoint.log.Debug("iroh connection moved to a direct path", "peer", c.id.ShortString(), "addr", to.String())
	return true
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
