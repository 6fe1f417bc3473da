package relay_test

import (
	"context"
	"fmt"
	"log"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

func Example() {
	secret, err := key.GenerateSecretKey()
	if err != nil {
		log.Fatal(err)
	}
	home := relay.Public()[2].URL
	client, err := relay.New(relay.Config{
		URL:       home,
		SecretKey: secret,
		Receive: func(r *relay.Received) {
			fmt.Printf("%d bytes from %s\n", len(r.Data), r.Peer)
			r.Release()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // this example connects to nobody
	fmt.Println(client.Run(ctx))
	client.Send(relay.Datagrams{Peer: secret.ID(), Data: []byte("waits for a connection")})
	fmt.Println(home, client.State().Connected)
	// Output:
	// context canceled
	// https://euc1-1.relay.n0.iroh.link./ false
}
