package exchange_test

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/host"
)

// oneBlock serves a single block.
type oneBlock struct {
	c    cid.Cid
	data []byte
}

func (b oneBlock) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	if !c.Equals(b.c) {
		return nil, exchange.ErrNotFound
	}
	return b.data, nil
}

func (b oneBlock) BlockSize(ctx context.Context, c cid.Cid) (int, error) {
	data, err := b.Block(ctx, c)
	return len(data), err
}

// A block goes from one node to another.
func Example() {
	ctx := context.Background()
	start := func(b exchange.Blocks) (*host.Host, *exchange.Exchange, error) {
		h, err := host.New(ctx, host.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Local: true})
		if err != nil {
			return nil, nil, err
		}
		x, err := exchange.New(ctx, exchange.Config{Host: h, Blocks: b})
		return h, x, err
	}
	data := []byte("hello")
	hash, err := mh.Sum(data, mh.SHA2_256, -1)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := cid.NewCidV1(cid.Raw, hash)
	server, serving, err := start(oneBlock{c, data})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer serving.Close()
	client, fetching, err := start(oneBlock{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	defer fetching.Close()

	if err := client.Connect(ctx, server.Addrs()[0]); err != nil {
		fmt.Println(err)
		return
	}
	session := fetching.Session(ctx, []peer.ID{server.ID()})
	defer session.Close()
	got, err := session.Block(ctx, c)
	fmt.Println(string(got), err)
	// Output: hello <nil>
}
