package native

import (
	"context"
	"fmt"

	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// What a ticket says of where this bridge is.
const (
	allAddrs   = ""      // the id, the home relay and the addresses
	shortAddrs = "short" // the id: whoever has it looks the rest up
	relayAddrs = "relay" // the id and the home relay
	plainAddrs = "addrs" // the id and the addresses
)

// TicketRequest asks for a ticket of content that is here.
type TicketRequest struct {
	Content   string `json:"content" doc:"CID, BLAKE3 hash (with an s before it that of a sequence) or blob ticket"`
	Recursive bool   `json:"recursive,omitempty" doc:"the hash is that of a sequence"`
	Parts     string `json:"parts,omitempty" enum:",short,relay,addrs" doc:"what it says of where this bridge is: short is its id alone, relay the id and the home relay, addrs the id and the addresses; empty is everything"`
}

// Ticket is a blob ticket of this bridge.
type Ticket struct {
	Ticket string   `json:"ticket"`
	Hash   string   `json:"hash"`
	Format string   `json:"format" enum:"raw,hashseq"`
	Relay  string   `json:"relay,omitempty" doc:"the home relay that the ticket names"`
	Addrs  []string `json:"addrs" doc:"the addresses that the ticket names, ip:port"`
}

// Ticket makes a ticket of content that is here, for an endpoint that is at an address.
func (s *Stock) Ticket(ctx context.Context, req TicketRequest, at ticket.EndpointAddr) (Ticket, error) {
	switch req.Parts {
	case allAddrs, shortAddrs, relayAddrs, plainAddrs:
	default:
		return Ticket{}, fmt.Errorf("%w: a ticket is short, relay, addrs, or everything", naming.ErrInvalid)
	}
	hash, format, err := s.Here(ctx, req.Content, req.Recursive)
	if err != nil {
		return Ticket{}, err
	}
	if req.Parts == shortAddrs || req.Parts == relayAddrs {
		at.Direct = nil
	}
	if req.Parts == shortAddrs || req.Parts == plainAddrs {
		at.Relays = nil
	}
	t := Ticket{Ticket: TicketOf(hash, format, at), Hash: hash.String(), Format: format.String(), Addrs: []string{}}
	for _, a := range at.Direct {
		t.Addrs = append(t.Addrs, a.String())
	}
	if len(at.Relays) > 0 {
		t.Relay = at.Relays[0]
	}
	return t, nil
}

// TicketOf is the text of a blob ticket.
func TicketOf(hash bao.Hash, format ticket.Format, at ticket.EndpointAddr) string {
	return ticket.Blob{Addr: at, Hash: hash, Format: format}.String()
}
