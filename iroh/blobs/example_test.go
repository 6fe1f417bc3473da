package blobs_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// listen opens an endpoint with a new key on a free port of this machine.
func listen() (*iroh.Endpoint, error) {
	secret, err := key.GenerateSecretKey()
	if err != nil {
		return nil, err
	}
	return iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{blobs.ALPN}})
}

func ExampleDownloader() {
	// Two nodes on one machine; the first has a blob, the second fetches it.
	ctx := context.Background()
	nodes := [2]struct {
		store    *store.Store
		endpoint *iroh.Endpoint
	}{}
	for i := range nodes {
		dir, err := os.MkdirTemp("", "example")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if nodes[i].store, err = store.Open(dir, store.Config{}); err != nil {
			panic(err)
		}
		defer nodes[i].store.Close()
		if nodes[i].endpoint, err = listen(); err != nil {
			panic(err)
		}
		defer nodes[i].endpoint.Close()
	}
	hash, err := nodes[0].store.Put(ctx, []byte("hello from far away"))
	if err != nil {
		panic(err)
	}
	provider := blobs.NewProvider(blobs.ProviderConfig{Store: nodes[0].store})
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := nodes[0].endpoint.Accept(ctx); err == nil {
			_ = provider.Serve(ctx, conn)
		}
	}()

	downloader := downloader.New(downloader.Config{Store: nodes[1].store, Endpoint: nodes[1].endpoint})
	stats, err := downloader.Fetch(ctx, []ticket.EndpointAddr{nodes[0].endpoint.Addr()}, hash, ticket.Raw, nil)
	if err != nil {
		panic(err)
	}
	<-served
	blob, err := nodes[1].store.Open(hash)
	if err != nil {
		panic(err)
	}
	defer blob.Close()
	content, _ := io.ReadAll(io.NewSectionReader(blob, 0, int64(blob.Size())))
	fmt.Printf("%d bytes in %d request: %s\n", stats.Bytes, stats.Requests, content)
	// Output: 19 bytes in 1 request: hello from far away
}
