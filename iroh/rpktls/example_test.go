package rpktls_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

// Two engines shake hands in memory. A QUIC implementation does the same with CRYPTO frames between them, and encrypts
// its packets with the secrets that the events bring.
func Example() {
	alice, bob := key.SecretKeyFromSeed([32]byte{1}), key.SecretKeyFromSeed([32]byte{2})
	bobID := bob.ID()
	client := rpktls.Client(&rpktls.Config{SecretKey: alice, ALPN: []string{"/iroh-bytes/4"}, PeerID: &bobID})
	server := rpktls.Server(&rpktls.Config{SecretKey: bob, ALPN: []string{"/iroh-bytes/4"}})
	ends := [2]*rpktls.Conn{client, server}
	for _, end := range ends {
		end.SetTransportParameters([]byte("QUIC transport parameters"))
		if err := end.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	done := 0
	for done < 2 {
		for i, end := range ends {
			for event := end.NextEvent(); event.Kind != tls.QUICNoEvent; event = end.NextEvent() {
				switch event.Kind {
				case tls.QUICWriteData:
					if err := ends[1-i].HandleData(event.Level, event.Data); err != nil {
						log.Fatal(err)
					}
				case tls.QUICHandshakeDone:
					done++
				}
			}
		}
	}
	id, err := rpktls.PeerID(server.ConnectionState())
	fmt.Println("the server's peer is alice:", err == nil && id == alice.ID())
	id, err = rpktls.PeerID(client.ConnectionState())
	fmt.Println("the client's peer is bob:", err == nil && id == bob.ID())
	fmt.Println("protocol:", client.ConnectionState().NegotiatedProtocol)
	// Output:
	// the server's peer is alice: true
	// the client's peer is bob: true
	// protocol: /iroh-bytes/4
}
