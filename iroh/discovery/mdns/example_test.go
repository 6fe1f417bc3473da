package mdns_test

import (
	"context"
	"fmt"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/mdns"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

func ExampleListen() {
	node, err := mdns.Listen(mdns.Config{ID: key.SecretKeyFromSeed([32]byte{1}).ID()})
	if err != nil {
		fmt.Println("there is no network:", err)
		return
	}
	defer node.Close()
	time.Sleep(2 * time.Second)
	for _, r := range node.Peers() {
		fmt.Println(r.ID(), "is at", r.Addr.Direct)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := node.Resolve(ctx, key.SecretKeyFromSeed([32]byte{2}).ID())
	fmt.Println(r.Addr.Direct, err)
}
