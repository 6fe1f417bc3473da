package iroh_test

import (
	"context"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Two endpoints say hello. In real use the address of the server travels as a ticket.
func Example() {
	ctx := context.Background()
	listen := func() *iroh.Endpoint {
		secret, err := key.GenerateSecretKey()
		if err != nil {
			panic(err)
		}
		e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{"hello/1"}})
		if err != nil {
			panic(err)
		}
		return e
	}
	server, client := listen(), listen()
	defer server.Close()
	defer client.Close()

	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := server.Accept(ctx)
		if err != nil {
			panic(err)
		}
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			panic(err)
		}
		question, err := io.ReadAll(stream)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(stream, "%s yourself", question)
		stream.Close()
		<-conn.Done()
		fmt.Println("the client was who it said:", conn.RemoteID() == client.ID())
	}()

	conn, err := client.Dial(ctx, server.Addr(), "hello/1")
	if err != nil {
		panic(err)
	}
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(stream, "hello")
	stream.Close()
	answer, err := io.ReadAll(stream)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(answer))
	conn.CloseWithError(0, "")
	<-served
	// Output:
	// hello yourself
	// the client was who it said: true
}
