package discovery_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/mdns"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// An endpoint that finds and is found through n0's public services and on the local network.
func Example() {
	secret, err := key.GenerateSecretKey()
	if err != nil {
		panic(err)
	}
	pkarr, err := discovery.NewPkarrRelay(discovery.PkarrConfig{URL: discovery.N0PkarrRelay, SecretKey: secret})
	if err != nil {
		panic(err)
	}
	defer pkarr.Close()
	dns, err := discovery.NewDNS(discovery.DNSConfig{Origin: discovery.N0Origin})
	if err != nil {
		panic(err)
	}
	local, err := mdns.Listen(mdns.Config{ID: secret.ID()})
	if err != nil {
		panic(err)
	}
	defer local.Close()

	publisher := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{pkarr, local}})
	defer publisher.Close()
	resolver := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{local, dns}})
	defer resolver.Close()

	publisher.Update(ticket.EndpointAddr{ID: secret.ID(), Relays: []string{"https://relay.example./"}})
	err = resolver.Follow(context.Background(), secret.ID(), func(addr ticket.EndpointAddr) bool {
		fmt.Println("it may be reached at", addr.Relays, addr.Direct)
		return true
	})
	fmt.Println(err)
}

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
