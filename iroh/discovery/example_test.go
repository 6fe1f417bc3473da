package discovery_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func ExampleResolver() {
	secret := key.SecretKeyFromSeed([32]byte{1})
	var static discovery.Static
	static.Add(ticket.EndpointAddr{ID: secret.ID(), Direct: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:4433")}})
	// Beside it, in real use: discovery.NewPkarrRelay, discovery.NewDNS, mdns.Listen.
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{&static}})
	defer r.Close()
	addr, err := r.Resolve(context.Background(), secret.ID())
	fmt.Println(addr.Direct, err)
	// Output: [192.0.2.7:4433] <nil>
}
