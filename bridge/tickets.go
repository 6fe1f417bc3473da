package bridge

import (
	"context"
	"fmt"

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

// Ticket makes a ticket of content that is here.
func (b *Bridge) Ticket(ctx context.Context, req TicketRequest) (Ticket, error) {
	switch req.Parts {
	case allAddrs, shortAddrs, relayAddrs, plainAddrs:
	default:
		return Ticket{}, fmt.Errorf("%w: a ticket is short, relay, addrs, or everything", ErrInvalid)
	}
	hash, format, err := b.here(ctx, req.Content, req.Recursive)
	if err != nil {
		return Ticket{}, err
	}
	text := b.ticketFor(hash, format, req.Parts)
	t := Ticket{Ticket: text, Hash: hash.String(), Format: format.String(), Addrs: []string{}}
	addr := b.ownAddr(req.Parts)
	for _, a := range addr.Direct {
		t.Addrs = append(t.Addrs, a.String())
	}
	if len(addr.Relays) > 0 {
		t.Relay = addr.Relays[0]
	}
	return t, nil
}

// ticketFor names content at this endpoint. Without a running endpoint it carries the id alone.
func (b *Bridge) ticketFor(hash bao.Hash, format ticket.Format, parts string) string {
	return ticket.Blob{Addr: b.ownAddr(parts), Hash: hash, Format: format}.String()
}

// ownAddr is as much of where this bridge is as a ticket is to say.
func (b *Bridge) ownAddr(parts string) (addr ticket.EndpointAddr) {
	if n := b.online(); n != nil {
		addr = n.presence.Endpoint.Addr()
	} else if k, err := b.irohKey(); err == nil {
		addr.ID = k.ID()
	}
	if parts == shortAddrs || parts == relayAddrs {
		addr.Direct = nil
	}
	if parts == shortAddrs || parts == plainAddrs {
		addr.Relays = nil
	}
	return addr
}
