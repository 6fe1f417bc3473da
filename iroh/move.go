package iroh

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// seekDirect moves a connection that was dialed through a relay to the first direct address that proves itself, and tries
// again and again until one does or the connection ends. Between rounds the resolver is asked for more addresses.
func (c *Conn) seekDirect(direct []netip.AddrPort) {
	defer c.endpoint.wg.Done()
	ctx := c.quic.Context()
	if len(direct) == 0 {
		direct = c.findDirect(ctx, direct)
	}
	for pause := firstSeek; ctx.Err() == nil; pause = min(2*pause, lastSeek) {
		for _, a := range direct {
			if c.moveTo(ctx, a) {
				return
			}
		}
		sleep(ctx, pause)
		if direct = c.findDirect(ctx, direct); len(direct) == 0 && c.endpoint.cfg.Resolver == nil {
			return
		}
	}
}

// candidates are the direct addresses to probe: those that the peer has told, which are the newest, and those that were known before.
func (e *Endpoint) candidates(id key.EndpointID, told, known []netip.AddrPort) []netip.AddrPort {
	direct, err := e.directTargets(ticket.EndpointAddr{ID: id, Direct: told})
	if err != nil {
		return known // it told of none that we could use
	}
	for _, a := range known {
		if len(direct) < 2*maxDialAddrs && !slices.Contains(direct, a) {
			direct = append(direct, a)
		}
	}
	return direct
}

// findDirect adds the addresses that the resolver knows.
func (c *Conn) findDirect(ctx context.Context, known []netip.AddrPort) []netip.AddrPort {
	e := c.endpoint
	if e.cfg.Resolver == nil {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	// What it does not find in this time it may remember for the next round.
	_ = e.cfg.Resolver.Follow(ctx, c.id, func(addr ticket.EndpointAddr) bool {
		more, err := e.directTargets(addr)
		if err != nil || addr.ID != c.id {
			return true
		}
		for _, a := range more {
			if len(known) < 2*maxDialAddrs && !slices.Contains(known, a) {
				known = append(known, a)
			}
		}
		return true
	})
	return known
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
