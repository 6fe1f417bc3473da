package nats

import (
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// byID makes a ticket whose provider is an id and nothing else.
func byID(t testing.TB, text string) string {
	return retarget(t, text, func(addr *ticket.EndpointAddr) { *addr = ticket.EndpointAddr{ID: addr.ID} })
}

// A bridge that publishes its relay alone is found there, and says in the handshake where else it is: who has found it by its id goes
// on directly, to a host that can be reached and, where both NATs keep ports, through them.
func TestFoundByIDThenDirect(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]netns.NAT{
		"open": {netns.EndpointDependent}, "NATs": {netns.EndpointIndependent, netns.EndpointIndependent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay := w.relay("relay", slow)
			pkarr := []string{"BRIDGE_DISCOVERY_PKARR=" + peertest.DNS(t, peer.At(w.host("names"))).URL}
			fetching := w.bridge(w.site(kinds[0]).Host, pkarr, relay)
			host := w.host("open")
			outer := host.Addrs[0]
			if len(kinds) > 1 {
				s := w.site(kinds[1])
				host, outer = s.Host, s.outer()
			}
			providing := w.bridge(host, pkarr, relay)
			want := file(t, large)
			added := runInto[peer.Content](t, providing, "add", want)
			published(t, providing)
			stop := watch(t, fetching)
			fetched(t, fetching, want, added.Hash, "--from", providing.EndpointID)
			endsOn(t, stop(), irohAt(outer))
		})
	}
}

// published waits until a bridge is found by its id.
func published(t testing.TB, d *peer.Daemon) {
	t.Helper()
	until(t, time.Minute, "the bridge is published", func() bool {
		for _, source := range runInto[diagnosis](t, d, "doctor").Sources {
			if source.Name == "pkarr" && source.Found {
				return true
			}
		}
		return false
	})
}

// Endpoints behind NATs that know no more of each other than the id find each other by a real iroh-dns-server, over HTTP and by
// DNS, and meet at the relay that they learn from it.
func TestFoundByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", 0)
	names := peertest.DNS(t, peer.At(w.host("names")))
	pkarr, byDNS := "BRIDGE_DISCOVERY_PKARR="+names.URL, []string{
		"BRIDGE_DISCOVERY_DNS_ORIGIN=" + peer.DNSOrigin, "BRIDGE_DISCOVERY_DNS_SERVERS=" + names.Server.String(),
	}
	a := w.bridge(w.site(netns.EndpointDependent).Host, []string{pkarr}, relay)
	want := file(t, large)
	added := runInto[peer.Content](t, a, "add", want)
	published(t, a)

	there := w.site(netns.EndpointDependent)
	for name, env := range map[string][]string{"HTTP": {pkarr}, "DNS": byDNS} {
		t.Run("bridge finds bridge by "+name, func(t *testing.T) {
			b := w.bridge(w.site(netns.EndpointDependent).Host, env, relay)
			stop := watch(t, b)
			fetched(t, b, want, added.Hash, "--from", a.EndpointID)
			onlyRelay(t, stop(), relay)
		})
	}
	for name, flags := range map[string][]string{
		"HTTP": {"--pkarr", names.URL}, "DNS": {"--dns-origin", peer.DNSOrigin, "--dns-server", names.Server.String()},
	} {
		t.Run("Rust finds bridge by "+name, func(t *testing.T) {
			rustFetched(t, w.rust(there.Host, relay, flags...), want, byID(t, added.Ticket))
		})
	}
	t.Run("bridge finds Rust", func(t *testing.T) {
		other := file(t, large+1)
		node := peertest.Serve(t, w.rust(there.Host, relay, "--pkarr", names.URL), other)
		fetched(t, a, other, byID(t, node.Items[0].Ticket))
	})
	t.Run("nobody", func(t *testing.T) {
		secret := check(key.GenerateSecretKey())(t)
		r := a.Run(w.ctx(), "fetch", "00"+added.Hash[2:], "--from", secret.ID().String())
		if r.Status != 1 || !strings.Contains(r.Stderr, secret.ID().ShortString()) {
			t.Errorf("status %d: %s", r.Status, r.Stderr)
		}
		t.Log(r.Stderr)
	})
}
