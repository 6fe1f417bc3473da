package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/host"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Identity tells who this bridge is on both networks. Addresses are empty while it is not online.
type Identity struct {
	EndpointID  string   `json:"endpointId" doc:"iroh endpoint id, hex"`
	IrohAddrs   []string `json:"irohAddrs" doc:"UDP addresses of the iroh endpoint, ip:port"`
	HomeRelay   string   `json:"homeRelay,omitempty" doc:"URL of the relay by which others reach the iroh endpoint, once there is one"`
	PeerID      string   `json:"peerId" doc:"libp2p peer id"`
	Libp2pAddrs []string `json:"libp2pAddrs" doc:"full multiaddrs with /p2p/"`
}

// Identity returns the ids, and the addresses when online.
func (b *Bridge) Identity() (Identity, error) {
	if n := b.online(); n != nil {
		addr := n.iroh.Presence.Endpoint.Addr()
		id := Identity{EndpointID: addr.ID.String(), IrohAddrs: []string{}, PeerID: n.host.ID().String(), Libp2pAddrs: n.host.Addrs()}
		for _, a := range addr.Direct {
			id.IrohAddrs = append(id.IrohAddrs, a.String())
		}
		if len(addr.Relays) > 0 {
			id.HomeRelay = addr.Relays[0]
		}
		return id, nil
	}
	k, err := b.irohKey()
	if err != nil {
		return Identity{}, fmt.Errorf("bridge: %w", err)
	}
	p, err := host.LoadOrCreateKey(b.folder.Libp2pKey())
	if err != nil {
		return Identity{}, fmt.Errorf("bridge: %w", err)
	}
	pid, err := peer.IDFromPrivateKey(p)
	if err != nil {
		return Identity{}, fmt.Errorf("bridge: %w", err)
	}
	return Identity{EndpointID: k.ID().String(), IrohAddrs: []string{}, PeerID: pid.String(), Libp2pAddrs: []string{}}, nil
}

// ownAddr is where tickets say that the iroh endpoint is; its id alone unless it is a daemon's.
func (b *Bridge) ownAddr() (addr ticket.EndpointAddr) {
	if n := b.online(); n != nil {
		return n.iroh.Addr()
	}
	if k, err := b.irohKey(); err == nil {
		addr.ID = k.ID()
	}
	return addr
}

// connect opens the sockets of both networks.
func (b *Bridge) connect(ctx context.Context, cfg config.Config, stays bool) (_ *network, err error) {
	n := &network{stays: stays}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	secret, err := b.irohKey()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if n.iroh, err = native.Open(cfg, secret, b.stock, stays, b.log); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	n.host, err = host.New(ctx, host.Config{
		KeyFile: b.folder.Libp2pKey(), Listen: cfg.Libp2p.Listen, Bootstrap: cfg.Libp2p.Bootstrap, Local: cfg.Local,
		PortMapping: cfg.Switched(cfg.Libp2p.PortMapping), Quiet: !stays, Roots: b.roots, Logger: b.log,
	})
	if err != nil {
		return nil, fmt.Errorf("bridge: libp2p host: %w", err)
	}
	n.exchange, err = exchange.New(ctx, exchange.Config{Host: n.host, Blocks: b.blocks(), Stall: b.stall, Logger: b.log})
	if err != nil {
		return nil, fmt.Errorf("bridge: bitswap: %w", err)
	}
	return n, nil
}

// roots lists what is announced again and again: the root of every link.
func (b *Bridge) roots(ctx context.Context) (<-chan cid.Cid, error) {
	out := make(chan cid.Cid)
	b.running.Go(func() {
		defer close(out)
		for l, err := range b.mapping.Links(ctx) {
			if err != nil {
				b.log.Error("listing what is to be announced", "err", err)
				return
			}
			select {
			case out <- l.CID:
			case <-ctx.Done():
				return
			case <-b.life.Done():
				return
			}
		}
	})
	return out, nil
}

func (n *network) close() error {
	var errs []error
	if n.exchange != nil {
		errs = append(errs, n.exchange.Close())
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.iroh != nil {
		errs = append(errs, n.iroh.Close())
	}
	return errors.Join(errs...)
}

// WaitRelay waits until others can reach the iroh endpoint through its home relay, no longer than patience; without relays
// it returns at once.
func (b *Bridge) WaitRelay(ctx context.Context, patience time.Duration) {
	n := b.online()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = n.iroh.Presence.Endpoint.WaitRelay(ctx) // it goes on trying
}

// session opens a Bitswap session that asks the named peers first.
func (n *network) session(ctx context.Context, b *Bridge, from []string) (*exchange.Session, error) {
	var peers []peer.ID
	for _, addr := range from {
		info, err := peer.AddrInfoFromString(addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not a multiaddr that ends in /p2p/ID: %w", ErrInvalid, recording.Quote(addr), err)
		}
		if err := n.host.Connect(ctx, addr); err != nil {
			b.log.Warn("peer not reached", "addr", addr, "err", err)
			continue
		}
		peers = append(peers, info.ID)
	}
	if len(from) > 0 && len(peers) == 0 && b.cfg.Local {
		return nil, fmt.Errorf("%w: none of the peers given could be reached; check the addresses and that the peer runs", ErrNotFound)
	}
	return n.exchange.Session(ctx, peers), nil
}

// notify tells the peers that wait for blocks of a new link that they are here: those of somebody who began to fetch the
// same content elsewhere, too. The root comes first.
func (n *network) notify(ctx context.Context, b *Bridge, l mapping.Link) {
	if n.exchange.Wants() == 0 {
		return // who asks from now on finds them
	}
	err := n.exchange.Notify(ctx, l.CID)
	if err == nil {
		err = recording.Blocks(b.store, l, func(cids []cid.Cid) error {
			return errors.Join(n.exchange.Notify(ctx, cids...), ctx.Err())
		})
	}
	if err != nil && ctx.Err() == nil {
		b.log.Debug("peers not told of new blocks", "cid", l.CID, "err", err) // the link may be gone again
	}
}

// provide announces a root CID; it is only a hint to the network, so that a failure is logged and no more.
func (n *network) provide(ctx context.Context, c cid.Cid, log *slog.Logger) {
	if err := n.host.Provide(ctx, c); err != nil && ctx.Err() == nil {
		log.Debug("not announced", "cid", c, "err", err)
	}
}
