package iroh

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// keepPath keeps a connection that was dialed through a relay on the best path there is, until it ends: it moves to the first
// direct address that proves itself, and back to the relay when nothing comes there any more.
func (c *Conn) keepPath(direct []netip.AddrPort) {
	defer c.endpoint.wg.Done()
	ctx := c.quic.Context()
	pause, lane := firstSeek, 0 // a lane by which quic-go does not send
	for len(direct) > 0 && ctx.Err() == nil {
		for _, a := range direct {
			if c.moveTo(ctx, lane, a) {
				break
			}
		}
		if c.direct.Load() == nil {
			sleep(ctx, pause)
			pause = min(2*pause, lastSeek)
			continue
		}
		if c.silent(ctx) {
			c.retreat(lane)
		}
		pause, lane = firstSeek, (lane+1)%paths.Lanes
	}
}

// moveTo makes a direct address the connection's path if it leads to the peer, which only the peer can prove (RFC 9000,
// section 9).
func (c *Conn) moveTo(ctx context.Context, lane int, to netip.AddrPort) bool {
	path, err := c.quic.AddPath(c.endpoint.detours[lane])
	if err != nil {
		return false // the peer does not want it
	}
	c.route.SetDirect(lane, net.UDPAddrFromAddrPort(to))
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if path.Probe(ctx) != nil || path.Switch() != nil {
		path.Close()
		c.route.SetDirect(lane, nil)
		return false
	}
	c.direct.Store(&to)
	c.endpoint.log.Debug("iroh connection moved to a direct path", "peer", c.id.ShortString(), "addr", to.String())
	return true
}

// retreat sends everything through the relay again. Nothing has to be proven for that, and quic-go sends no probes while
// it waits for acknowledgments that do not come.
func (c *Conn) retreat(lane int) {
	c.route.SetDirect(lane, nil)
	c.direct.Store(nil)
	c.endpoint.log.Debug("iroh connection moved back to the relay", "peer", c.id.ShortString(), "relay", c.Path().Relay)
}

// silent waits until we have sent for a while and nothing came back, so that the path must be broken, and reports that; or that
// the connection ended. Keeping alive sends something now and then in any case.
func (c *Conn) silent(ctx context.Context) bool {
	var sent, received uint64
	var since time.Time // when something was sent with which the silence began; zero if none did
	for ctx.Err() == nil {
		s := c.quic.ConnectionStats()
		switch {
		case s.PacketsReceived != received:
			since = time.Time{}
		case s.PacketsSent != sent && since.IsZero():
			since = time.Now()
		case !since.IsZero() && time.Since(since) > maxSilence+4*s.SmoothedRTT:
			return true
		}
		sent, received = s.PacketsSent, s.PacketsReceived
		sleep(ctx, maxSilence/8)
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
