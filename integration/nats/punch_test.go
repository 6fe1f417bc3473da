package nats

import (
	"testing"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
)

// Two bridges behind NATs that keep ports begin on the relay and end on a direct path: each learns from the relay where it is seen, and
// the provider opens its NAT for who fetches.
func TestPunchThroughNATs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", calm/8) // 10 s for all of it
	a, b := w.site(netns.EndpointIndependent), w.site(netns.EndpointIndependent)
	providing, fetching := w.bridge(a.Host, nil, relay), w.bridge(b.Host, nil, relay)
	want := file(t, large)
	added := runInto[peer.Content](t, providing, "add", want)
	stop := watch(t, fetching)
	fetched(t, fetching, want, added.Ticket)
	endsOn(t, stop(), irohAt(a.outer()))
}

// One side has another address for everybody: what one relay sees is told by nobody, and the relay has to do.
func TestNoHoleThroughTheOtherKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	one, two := w.relay("relay", calm), w.relay("second", calm)
	for name, kinds := range map[string][2]netns.NAT{
		"provider": {netns.EndpointDependent, netns.EndpointIndependent},
		"fetching": {netns.EndpointIndependent, netns.EndpointDependent},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := w.site(kinds[0]), w.site(kinds[1])
			providing, fetching := w.bridge(a.Host, nil, one, two), w.bridge(b.Host, nil, one, two)
			want := file(t, large)
			added := runInto[peer.Content](t, providing, "add", want)
			for i, d := range []*peer.Daemon{providing, fetching} {
				report := runInto[struct{ NAT string }](t, d, "doctor")
				if (report.NAT == "endpoint-dependent") != (kinds[i] == netns.EndpointDependent) || report.NAT == "unknown" {
					t.Errorf("behind %s the doctor says %q", kinds[i], report.NAT)
				}
			}
			stop := watch(t, fetching)
			fetched(t, fetching, want, added.Ticket)
			seen := stop()
			if len(seen) != 1 || !seen[0].Relayed {
				t.Errorf("bridge peers tells of %+v; want a relay alone", seen)
			}
		})
	}
}
