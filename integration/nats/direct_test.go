package nats

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// slow is what relays here carry in a second: a connection that begins on one has the time to move.
const slow = 4 << 20

// endsOn fails the test unless the last path of a bridge's connections is a direct one to an address.
func endsOn(t testing.TB, seen []path, want netip.AddrPort) {
	t.Helper()
	if len(seen) == 0 || seen[len(seen)-1] != (path{Path: want.String()}) {
		t.Errorf("bridge peers tells of %+v; want %s at last", seen, want)
	}
}

// irohAt is a bridge's endpoint at an address.
func irohAt(ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, irohPort) }

// A side that can be reached is reached directly, whichever side it is, with a relay at hand.
func TestDirectWhereOneSideIsReachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", slow)
	open, hidden := w.host("open"), w.site(netns.EndpointDependent)
	outside, inside := w.bridge(open, nil, relay), w.bridge(hidden.Host, nil, relay)
	want := file(t, large)

	added := runInto[peer.Content](t, outside, "add", want)
	stop := watch(t, inside)
	fetched(t, inside, want, added.Ticket)
	endsOn(t, stop(), irohAt(open.Addrs[0]))

	stop = watch(t, outside)
	got := rustFetched(t, w.rust(hidden.Host, relay), want, added.Ticket)
	seen := stop()
	if direct := irohAt(open.Addrs[0]).String(); got.Path != direct {
		t.Errorf("the Rust peer ended on %s, want %s", got.Path, direct)
	}
	if len(seen) == 0 {
		t.Fatal("the bridge tells of no path")
	}
	if last := seen[len(seen)-1]; last.Relayed || netip.MustParseAddrPort(last.Path).Addr() != hidden.outer() {
		t.Errorf("the bridge tells of %+v, want %s", seen, hidden.outer())
	}

	other := file(t, large+1)
	node := peertest.Serve(t, w.rust(open, relay), other)
	proxy, text := w.proxy(node.Items[0].Ticket, fault.Link{Rate: calm})
	text = retarget(t, text, func(addr *ticket.EndpointAddr) { addr.Relays = []string{relay.URL} })
	stop = watch(t, inside)
	fetched(t, inside, other, text)
	endsOn(t, stop(), proxy.Addr())
}

// Two hosts behind one router find each other there.
func TestDirectOnOneSegment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", slow)
	s := w.site(netns.EndpointIndependent)
	a, b := w.bridge(s.Host, nil, relay), w.bridge(w.neighbour(s), nil, relay)
	want := file(t, large)
	added := runInto[peer.Content](t, a, "add", want)
	stop := watch(t, b)
	fetched(t, b, want, added.Ticket)
	endsOn(t, stop(), irohAt(s.Addrs[0]))
}

// A port that is forwarded and announced is where the connection goes.
func TestDirectThroughForwardedPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", slow)
	s := w.site(netns.EndpointDependent)
	forwarded := netip.AddrPortFrom(s.outer(), 5000)
	if err := s.router.Forward(w.ctx(), s.outside, forwarded.Port(), irohAt(s.Addrs[0])); err != nil {
		t.Fatal(err)
	}
	a := w.bridge(s.Host, []string{"BRIDGE_IROH_ANNOUNCE=" + forwarded.String()}, relay)
	b := w.bridge(w.site(netns.EndpointDependent).Host, nil, relay)
	want := file(t, large)
	added := runInto[peer.Content](t, a, "add", want)
	stop := watch(t, b)
	fetched(t, b, want, added.Ticket)
	endsOn(t, stop(), forwarded)
	if got := rustFetched(t, w.rust(w.host("open"), relay), want, added.Ticket); got.Path != forwarded.String() {
		t.Errorf("the Rust peer ended on %s, want %s", got.Path, forwarded)
	}
}

// A connection that began on the relay moves to the direct path when there is one, in the middle of a transfer.
func TestMovesToDirectPath(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"bridge", "Rust"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay := w.relay("relay", 2<<20) // 16 s for all of it
			s := w.site(netns.EndpointDependent)
			forwarded, port, text := netip.AddrPortFrom(s.outer(), 5000), uint16(irohPort), ""
			want := file(t, large)
			if provider == "Rust" {
				node := peertest.Serve(t, w.rust(s.Host, relay), want)
				port, text = netip.MustParseAddrPort(node.Addrs[0]).Port(), node.Items[0].Ticket
			} else {
				text = runInto[peer.Content](t, w.bridge(s.Host, nil, relay), "add", want).Ticket
			}
			text = retarget(t, text, func(addr *ticket.EndpointAddr) { addr.Direct = []netip.AddrPort{forwarded} })
			b := w.bridge(w.site(netns.EndpointDependent).Host, nil, relay)
			stop := watch(t, b)
			during(t, func() { fetched(t, b, want, text) }, 0, func(ctx context.Context) error {
				for end := time.Now().Add(time.Minute); ; {
					now, err := paths(ctx, b)
					if err != nil {
						return err
					}
					if slices.Contains(now, path{relay.URL, true}) || time.Now().After(end) {
						break
					}
				}
				time.Sleep(time.Second) // for who watches to see it too
				return s.router.Forward(ctx, s.outside, forwarded.Port(), netip.AddrPortFrom(s.Addrs[0], port))
			})
			if seen := stop(); !slices.Equal(seen, []path{{relay.URL, true}, {forwarded.String(), false}}) {
				t.Errorf("bridge peers tells of %+v; want first %s, then %s", seen, relay.URL, forwarded)
			}
		})
	}
}
