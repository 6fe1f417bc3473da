package nats

import (
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
)

// Where there is nothing but IPv6, who can be reached is reached directly, and a relay carries what is between the others.
func TestIPv6Alone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public6)
	relay := w.relay("relay", calm)
	open, near, far := w.host("open"), w.site(netns.EndpointDependent), w.site(netns.EndpointDependent)
	reachable, hidden, fetching := w.bridge(open, nil, relay), w.bridge(near.Host, nil, relay), w.bridge(far.Host, nil, relay)
	one, two := file(t, large), file(t, large+1)

	added := runInto[peer.Content](t, reachable, "add", one)
	stop := watch(t, fetching)
	fetched(t, fetching, one, added.Ticket)
	endsOn(t, stop(), irohAt(open.Addrs[0]))
	until(t, time.Minute, "the first connection is over", func() bool {
		now, err := paths(w.ctx(), fetching)
		return err == nil && len(now) == 0
	})

	added = runInto[peer.Content](t, hidden, "add", two)
	stop = watch(t, fetching)
	fetched(t, fetching, two, added.Ticket)
	onlyRelay(t, stop(), relay)
}
