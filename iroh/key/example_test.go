package key_test

import (
	"fmt"
	"log"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

func Example() {
	secret, err := key.ParseSecretKey("0101010101010101010101010101010101010101010101010101010101010101")
	if err != nil {
		log.Fatal(err)
	}
	id := secret.ID()
	fmt.Println(id)
	fmt.Println(id.Z32())
	fmt.Println(id.Verify([]byte("hello"), secret.Sign([]byte("hello"))))
	fmt.Println(secret)
	// Output:
	// 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c
	// tkrq8zmwb8a3m9k15csu3q17qmfgqnp9dskbrg9uq1rydpyxp7qy
	// true
	// key.SecretKey(redacted)
}
