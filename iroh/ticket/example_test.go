package ticket_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func Example() {
	t, err := ticket.ParseBlob("blobacfiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvyaabadaaaaqh2eraduacpcxep2zhwnh25t3hwt7cmp4c2vassfwb77mxzdfx7oauxbce")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Hash.ShortString(), t.Format)
	fmt.Println("from", t.Addr.ID.ShortString(), "at", t.Addr.Direct)

	// The endpoint alone, as a ticket of its own.
	fmt.Println(ticket.Endpoint{Addr: t.Addr})

	_, err = ticket.ParseBlob("docaaacarwhmusoqf362j3jpzrehzkw3bqamcp2mmbhn3fmag3mzzfjp4")
	fmt.Println(errors.Is(err, ticket.ErrKind), err)
	// Output:
	// d00278ae47 hashseq
	// from 8a88e3dd74 at [192.0.2.7:4433]
	// endpointacfiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvyaibadaaaaqh2era
	// true ticket: wrong kind: document tickets (iroh-docs) are not supported; wanted a blob ticket
}
