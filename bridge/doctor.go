package bridge

import (
	"context"
	"errors"
	"sync"

	"github.com/iroh-ipfs/bridge/bridge/doctor"
)

// Doctor looks at how this bridge stands in both networks. It asks all relays and discovery services, which takes some seconds.
func (b *Bridge) Doctor(ctx context.Context) (doctor.Diagnosis, error) {
	n := b.online()
	if n == nil {
		return doctor.Diagnosis{}, errors.New("bridge: the network is not up")
	}
	p := n.iroh.Presence
	b.WaitRelay(ctx, relayPatience)
	f := doctor.Facts{
		Local: b.cfg.Local, Daemon: n.stays, Publish: b.cfg.Discovery.Publish,
		Libp2p: doctor.Libp2p{
			PeerID: n.host.ID().String(), Addrs: n.host.Addrs(), Connections: len(n.host.Conns()),
			DHT: n.host.Routing() != nil, Reachability: n.host.Reachability(),
		},
	}
	var asking sync.WaitGroup
	asking.Go(func() { f.Report = p.Endpoint.Report(ctx) })
	asking.Go(func() { f.Answers = p.Resolver.Ask(ctx, p.Endpoint.ID()) })
	asking.Wait()
	f.Published = p.Published()
	if status, ok := p.Mapping(); ok {
		f.Mapping = &status
	}
	if others, ok := p.Neighbours(); ok {
		f.Neighbours = &others
	}
	return doctor.Diagnose(f), ctx.Err()
}
