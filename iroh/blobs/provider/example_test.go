package provider_test

import (
	"context"
	"fmt"
	"os"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// printer says what was pushed.
type printer struct{}

func (printer) Event(e provider.Event) {
	if _, push := e.Request.(blobs.PushRequest); push && e.Kind == provider.Started {
		fmt.Printf("a blob of %d bytes begins\n", e.Size)
	}
}

// node is a store and an endpoint with a new key, on a free port of this machine.
func node(dir string) (*store.Store, *iroh.Endpoint, error) {
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		return nil, nil, err
	}
	secret, err := key.GenerateSecretKey()
	if err != nil {
		return nil, nil, err
	}
	e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{blobs.ALPN}})
	return s, e, err
}

// A node takes pushes from one other, up to a mebibyte.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	to, server, err := node(dir + "/to")
	if err != nil {
		panic(err)
	}
	defer to.Close()
	defer server.Close()
	from, client, err := node(dir + "/from")
	if err != nil {
		panic(err)
	}
	defer from.Close()
	defer client.Close()

	p := provider.New(provider.Config{
		Store: to, Events: printer{},
		Push: provider.PushConfig{Peers: []key.EndpointID{client.ID()}, Quota: 1 << 20},
	})
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := server.Accept(ctx); err == nil {
			_ = p.Serve(ctx, conn)
		}
	}()

	hash, err := from.Put(ctx, []byte("hello from far away"))
	if err != nil {
		panic(err)
	}
	conn, err := client.Dial(ctx, server.Addr(), blobs.ALPN)
	if err != nil {
		panic(err)
	}
	stats, err := blobs.Push(ctx, conn, blobs.PushConfig{Store: from}, hash, ticket.Raw, nil)
	if err != nil {
		panic(err)
	}
	_ = conn.CloseWithError(blobs.CodeDropped, "")
	<-served
	status, err := to.Status(hash)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d blob pushed, it is %v there\n", stats.Blobs, status.State)
	// Output:
	// a blob of 19 bytes begins
	// 1 blob pushed, it is complete there
}
