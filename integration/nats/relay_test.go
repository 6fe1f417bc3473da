package nats

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// kinds are the NATs that there are.
var kinds = []netns.NAT{netns.EndpointIndependent, netns.EndpointDependent}

// What the Rust peer does with itself: across NATs that keep ports it may punch a hole, across others it stays on the relay. It
// shows that the NATs here are what they are said to be.
func TestRustAmongThemselves(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay := w.relay("relay", 0)
			a, b := w.site(kind), w.site(kind)
			want := file(t, large)
			node := peertest.Serve(t, w.rust(a.Host, relay), want)
			got := rustFetched(t, w.rust(b.Host, relay), want, node.Items[0].Ticket)
			t.Logf("%s in %.1f s", got.Path, got.Seconds)
			if kind == netns.EndpointDependent && got.Path != relay.URL {
				t.Errorf("ended on %s", got.Path)
			}
		})
	}
}

// onlyRelay fails the test unless all connections of a bridge went through a relay, and there was one.
func onlyRelay(t testing.TB, seen []path, relay *relayHost) {
	t.Helper()
	if len(seen) != 1 || seen[0] != (path{relay.URL, true}) {
		t.Errorf("bridge peers tells of %+v; want the relay %s alone", seen, relay.URL)
	}
}

// across fails the test unless a bridge's connections went through the relay or, where NATs keep ports so that holes can be punched,
// to the other side's outer address; and there was one.
func across(t testing.TB, kind netns.NAT, seen []path, relay *relayHost, other *site) {
	t.Helper()
	if kind == netns.EndpointDependent {
		onlyRelay(t, seen, relay)
		return
	}
	direct := 0
	for _, p := range seen {
		if addr, err := netip.ParseAddrPort(p.Path); err == nil && !p.Relayed && addr.Addr() == other.outer() {
			direct++
		} else if p != (path{relay.URL, true}) {
			t.Errorf("bridge peers tells of %+v", p)
		}
	}
	if len(seen) == 0 {
		t.Error("bridge peers tells of no path")
	}
	t.Logf("%d direct ones of %d paths", direct, len(seen))
}

// Two endpoints behind two NATs meet through a relay, and `bridge peers` says so. Two bridges may go on directly, see
// TestPunchThroughNATs.
func TestMeetThroughRelay(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay := w.relay("relay", calm)
			a, b := w.site(kind), w.site(kind)
			providing, fetching := w.bridge(a.Host, nil, relay), w.bridge(b.Host, nil, relay)
			both := []string{file(t, large), folder(t)}
			var tickets []string
			for _, want := range both {
				tickets = append(tickets, runInto[peer.Content](t, providing, "add", want).Ticket)
			}

			stop := watch(t, fetching)
			for i, want := range both {
				fetched(t, fetching, want, tickets[i])
			}
			across(t, kind, stop(), relay, a)

			stop = watch(t, providing)
			for i, want := range both {
				got := rustFetched(t, w.rust(b.Host, relay), want, tickets[i])
				across(t, kind, []path{{got.Path, got.Path == relay.URL}}, relay, a)
			}
			across(t, kind, stop(), relay, b)

			node := peertest.Serve(t, w.rust(a.Host, relay), both...)
			third := w.bridge(w.site(kind).Host, nil, relay)
			stop = watch(t, third)
			for i, want := range both {
				content := runInto[peer.Content](t, third, "expose", node.Items[i].Ticket)
				out := filepath.Join(t.TempDir(), "out")
				run(t, third, "get", content.CID, "-o", out)
				same(t, out, want)
			}
			across(t, kind, stop(), relay, a)
		})
	}
}

// A relay that restarts in the middle of a transfer costs a pause, not the transfer.
func TestRelayRestarts(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, w *world, relay *relayHost, want string) (transfer func()){
		"bridge fetches from a bridge": func(t *testing.T, w *world, relay *relayHost, want string) func() {
			a, b := w.bridge(w.site(kinds[0]).Host, nil, relay), w.bridge(w.site(kinds[1]).Host, nil, relay)
			added := runInto[peer.Content](t, a, "add", want)
			return func() { fetched(t, b, want, added.Ticket) }
		},
		"bridge fetches from Rust": func(t *testing.T, w *world, relay *relayHost, want string) func() {
			node := peertest.Serve(t, w.rust(w.site(kinds[0]).Host, relay), want)
			b := w.bridge(w.site(kinds[1]).Host, nil, relay)
			return func() { fetched(t, b, want, node.Items[0].Ticket) }
		},
		"Rust fetches": func(t *testing.T, w *world, relay *relayHost, want string) func() {
			a, rust := w.bridge(w.site(kinds[0]).Host, nil, relay), w.rust(w.site(kinds[1]).Host, relay)
			added := runInto[peer.Content](t, a, "add", want)
			return func() { rustFetched(t, rust, want, added.Ticket) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay := w.relay("relay", 8<<20) // 4 s for all of it
			during(t, prepare(t, w, relay, file(t, large)), 2*time.Second, func(ctx context.Context) error {
				relay.Kill()
				time.Sleep(time.Second)
				return relay.start(ctx)
			})
		})
	}
}
