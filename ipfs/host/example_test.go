package host_test

import (
	"context"
	"fmt"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

func Example() {
	ctx := context.Background()
	listen := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	a, err := host.New(ctx, host.Config{Listen: listen, Local: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := host.New(ctx, host.Config{Listen: listen, Local: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	fmt.Println(a.Connect(ctx, b.Addrs()[0]))
	fmt.Println(a.LibP2P().Network().Connectedness(b.ID()))
	// Output:
	// <nil>
	// Connected
}
