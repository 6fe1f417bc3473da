package nats

import (
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// Endpoints on one local network that know no more of each other than the id find each other by multicast DNS, without a relay, a name
// server or a way out.
func TestFoundOnTheLocalNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	s := w.site(netns.EndpointDependent)
	on := []string{"BRIDGE_DISCOVERY_MDNS=on"}
	a, there := w.bridge(s.Host, on), w.neighbour(s)
	want, other := file(t, large), file(t, large+1)
	added := runInto[peer.Content](t, a, "add", want)

	b := w.bridge(there, on)
	heard(t, b, added.Hash, a.EndpointID)
	stop := watch(t, b)
	fetched(t, b, want, added.Hash, "--from", a.EndpointID)
	endsOn(t, stop(), irohAt(s.Addrs[0]))
	rustFetched(t, w.rust(there, nil, "--mdns"), want, byID(t, added.Ticket))
	node := peertest.Serve(t, w.rust(there, nil, "--mdns"), other)
	heard(t, a, node.Items[0].Hash, node.ID)
	fetched(t, a, other, byID(t, node.Items[0].Ticket))

	// Who does not listen there finds nobody.
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	c := w.bridge(there, nil)
	if r := c.Run(w.ctx(), "fetch", added.Hash, "--from", a.EndpointID); r.Status != 1 {
		t.Errorf("without mDNS: status %d: %s", r.Status, r.Stderr)
	}
}

// heard waits until a bridge finds who has a blob by the id alone: on a busy machine that may answer too late at first.
func heard(t testing.TB, d *peer.Daemon, hash, id string) {
	t.Helper()
	until(t, time.Minute, id+" is found", func() bool {
		return d.Run(peertest.Context(t), "observe", "--once", hash, "--from", id).Status == 0
	})
}
