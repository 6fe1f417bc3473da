package integration

import (
	"net/netip"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func parseTicket(t testing.TB, text string) ticket.Blob {
	t.Helper()
	parsed, err := ticket.ParseBlob(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// retarget makes a ticket for the content of one ticket at the provider of another one.
func retarget(t testing.TB, content, provider string) string {
	t.Helper()
	made := parseTicket(t, content)
	made.Addr = parseTicket(t, provider).Addr
	return made.String()
}

// reroute makes a ticket whose provider is reached at another address.
func reroute(t testing.TB, text string, addr netip.AddrPort) string {
	t.Helper()
	made := parseTicket(t, text)
	made.Addr.Direct = []netip.AddrPort{addr}
	return made.String()
}

// direct is the address at which a ticket's provider is reached.
func direct(t testing.TB, text string) netip.AddrPort {
	t.Helper()
	addrs := parseTicket(t, text).Addr.Direct
	if len(addrs) == 0 {
		t.Fatal("the ticket has no direct address")
	}
	return addrs[0]
}
