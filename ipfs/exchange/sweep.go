package exchange

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// sweep drops what boxo's server keeps of peers that have gone, until ctx ends.
// The server drops a peer's wants when it disconnects, but a message of that peer
// that is worked on just then puts them back, for ever: up to 1,024 wants for
// each name that somebody takes.
func (x *Exchange) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	gone := make(map[peer.ID]bool)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			gone = x.sweepOnce(gone)
		}
	}
}

// sweepOnce drops the peers that were gone the last time and still are, and
// returns those that are gone now.
func (x *Exchange) sweepOnce(before map[peer.ID]bool) map[peer.ID]bool {
	stat, err := x.bs.Server.Stat()
	if err != nil {
		return before // it never fails
	}
	now := make(map[peer.ID]bool)
	for _, s := range stat.Peers {
		p, err := peer.Decode(s)
		if err != nil || x.cfg.Host.LibP2P().Network().Connectedness(p) == network.Connected {
			continue
		}
		if before[p] {
			x.bs.Server.PeerDisconnected(p)
			continue
		}
		now[p] = true
	}
	return now
}
