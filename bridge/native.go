package bridge

import (
	"context"
	"errors"

	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/peers"
)

// irohSide is the iroh side, once it is online.
func (b *Bridge) irohSide() (*native.Side, error) {
	if n := b.online(); n != nil {
		return n.iroh, nil
	}
	return nil, errors.New("bridge: the network is not up")
}

// blocks reads IPFS blocks out of what is here.
func (b *Bridge) blocks() blocks.Source {
	return blocks.Source{Store: b.store, Mapping: b.mapping, Left: b.stock.Left}
}

// Fetch brings iroh content into the store and keeps it there, without a CID. See [native.Side.Fetch].
func (b *Bridge) Fetch(ctx context.Context, req native.FetchRequest, p Progress) (native.Fetched, error) {
	s, err := b.irohSide()
	if err != nil {
		return native.Fetched{}, err
	}
	if err := b.ops.Acquire(ctx, 1); err != nil {
		return native.Fetched{}, err
	}
	defer b.ops.Release(1)
	return s.Fetch(ctx, req, p)
}

// Push brings content that is here to another iroh node. See [native.Side.Push].
func (b *Bridge) Push(ctx context.Context, req native.PushRequest, p Progress) (native.Pushed, error) {
	s, err := b.irohSide()
	if err != nil {
		return native.Pushed{}, err
	}
	return s.Push(ctx, req, p)
}

// Observe follows what another iroh node has of a blob. See [native.Side.Observe].
func (b *Bridge) Observe(ctx context.Context, req native.ObserveRequest, yield func(native.Observed) error) error {
	s, err := b.irohSide()
	if err != nil {
		return err
	}
	return s.Observe(ctx, req, yield)
}

// Ticket makes a ticket of content that is here; while the bridge is not online it has the endpoint id alone.
func (b *Bridge) Ticket(ctx context.Context, req native.TicketRequest) (native.Ticket, error) {
	return b.stock.Ticket(ctx, req, b.ownAddr())
}

// Peers lists the connections on both networks.
func (b *Bridge) Peers() peers.List {
	if n := b.online(); n != nil {
		return peers.Of(n.iroh.Presence.Endpoint, n.host)
	}
	return peers.List{Peers: []peers.Peer{}}
}
