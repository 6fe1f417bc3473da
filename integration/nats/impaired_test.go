package nats

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// proxy starts a proxy on a public host of its own, and makes a ticket whose provider is reached through it alone.
func (w *world) proxy(text string, link fault.Link) (*fault.Proxy, string) {
	w.t.Helper()
	h := w.host("proxy")
	link.Seed = uint64(time.Now().UnixNano())
	w.t.Logf("seed %d", link.Seed)
	target := check(ticket.ParseBlob(text))(w.t).Addr.Direct[0]
	p := check(fault.NewProxyOn(h, netip.AddrPortFrom(h.Addrs[0], 0), target, link))(w.t)
	w.t.Cleanup(func() { p.Close(); w.t.Logf("%+v", p.Counts()) })
	return p, retarget(w.t, text, func(addr *ticket.EndpointAddr) {
		addr.Relays, addr.Direct = nil, []netip.AddrPort{p.Addr()}
	})
}

// sides are who serves and who fetches. The provider is on a public host, whoever fetches is behind a NAT.
var sides = map[string]func(w *world, want string) (s *site, text string, fetch func(text string)){
	"bridge from bridge": func(w *world, want string) (*site, string, func(string)) {
		s, a := w.site(netns.EndpointDependent), w.bridge(w.host("open"), nil)
		added, b := runInto[peer.Content](w.t, a, "add", want), w.bridge(s.Host, nil)
		return s, added.Ticket, func(text string) { fetched(w.t, b, want, text) }
	},
	"bridge from Rust": func(w *world, want string) (*site, string, func(string)) {
		s, node := w.site(netns.EndpointDependent), peertest.Serve(w.t, w.rust(w.host("open"), nil), want)
		b := w.bridge(s.Host, nil)
		return s, node.Items[0].Ticket, func(text string) { fetched(w.t, b, want, text) }
	},
	"Rust from bridge": func(w *world, want string) (*site, string, func(string)) {
		s, a := w.site(netns.EndpointDependent), w.bridge(w.host("open"), nil)
		added, rust := runInto[peer.Content](w.t, a, "add", want), w.rust(s.Host, nil)
		return s, added.Ticket, func(text string) { rustFetched(w.t, rust, want, text) }
	},
}

// both calls a test for both sides at once; what these tests do is mostly waiting.
func both(t *testing.T, size int, test func(t *testing.T, w *world, s *site, text string, fetch func(string))) {
	for name, side := range sides {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			s, text, fetch := side(w, file(t, size))
			test(t, w, s, text, fetch)
		})
	}
}

// A link that loses, reorders, doubles and damages packets makes a transfer slow and nothing else.
func TestPoorLinks(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]fault.Link{
		"loss":        {Drop: 0.1},
		"reordering":  {Reorder: 0.1, ReorderBy: 30 * time.Millisecond},
		"duplication": {Duplicate: 0.1},
		"everything":  {Drop: 0.03, Reorder: 0.05, Duplicate: 0.05, Corrupt: 0.01, Delay: 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, 4<<20, func(t *testing.T, w *world, _ *site, text string, fetch func(string)) {
				_, text = w.proxy(text, link)
				fetch(text)
			})
		})
	}
}

// steady is a link on which a file takes 4 s, so that there is a middle.
var steady = fault.Link{Rate: large / 4, Delay: 5 * time.Millisecond}

func TestBlackout(t *testing.T) {
	t.Parallel()
	both(t, large, func(t *testing.T, w *world, _ *site, text string, fetch func(string)) {
		p, text := w.proxy(text, steady)
		during(t, func() { fetch(text) }, 2*time.Second, func(context.Context) error {
			p.Cut()
			time.Sleep(5 * time.Second)
			p.Restore()
			return nil
		})
	})
}

// The NAT forgets a connection in the middle, so that it goes on from another outer port.
func TestOuterPortChanges(t *testing.T) {
	t.Parallel()
	both(t, large, func(t *testing.T, w *world, _ *site, text string, fetch func(string)) {
		p, text := w.proxy(text, steady)
		during(t, func() { fetch(text) }, 2*time.Second, func(context.Context) error {
			p.Rebind()
			return nil
		})
	})
}

// The router gets another address in the middle.
func TestOuterAddressChanges(t *testing.T) {
	t.Parallel()
	both(t, 4*large, func(t *testing.T, w *world, s *site, text string, fetch func(string)) {
		from := netip.PrefixFrom(s.outer(), public.Bits())
		to := netip.PrefixFrom(netip.MustParseAddr("203.0.113.200"), public.Bits())
		during(t, func() { fetch(text) }, 100*time.Millisecond, func(ctx context.Context) error {
			return s.router.Renumber(ctx, s.outside, from, to)
		})
	})
}

// gone is when a fetch has ended of a provider that is gone: the idle timeout of 30 s, and the 5 s until the first keep-alive to which
// nobody answers. Not in it is the margin: a bridge has to notice and to write down what has come, and its command to hear of it and to
// end, which are milliseconds for each, and seconds on a machine that does much else at the same time. Dialing once more when the
// connection has ended would take 5 s more than its end, which is after 30 s.
const gone, margin = 35 * time.Second, 4 * time.Second

// A provider that is gone for good is dialed anew while its connection is silent, so that the fetch ends with the connection. Nothing of
// what came is shown, and what came is kept for the next time.
func TestProviderIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	want := file(t, large)
	node := peertest.Serve(t, w.rust(w.host("open"), nil), want)
	b := w.bridge(w.site(netns.EndpointDependent).Host, nil)
	p, text := w.proxy(node.Items[0].Ticket, steady)
	ctx, cuts, lost := w.ctx(), make(chan time.Time, 1), make(chan time.Duration, 1)
	go func() {
		for end := time.Now().Add(time.Minute); p.Counts().ToClients < large/2 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		p.Cut()
		cut := time.Now()
		cuts <- cut
		for {
			now, err := paths(ctx, b)
			if err != nil || len(now) == 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		lost <- time.Since(cut)
	}()
	r := b.Run(ctx, "fetch", text)
	took, connected := time.Since(<-cuts), <-lost
	t.Logf("connection lost after %s, given up after %s: %s", connected, took, r.Stderr)
	// Who asks for the connections is late on such a machine, too.
	if r.Status != 1 || connected < 20*time.Second || took > max(gone, connected)+margin || connected > 2*gone {
		t.Errorf("status %d", r.Status)
	}
	if r := b.Run(ctx, "get", node.Items[0].Hash, "-o", "-"); r.Status == 0 || len(r.Stdout) > 0 {
		t.Errorf("bridge get: status %d, %d bytes", r.Status, len(r.Stdout))
	}
	p.Restore()
	before := p.Counts().ToClients
	fetched(t, b, want, text)
	if again := p.Counts().ToClients - before; again > large*3/4 {
		t.Errorf("%d bytes came again", again)
	}
}

// The way on which a transfer goes breaks for good, and the provider is still reached through its relay: the transfer goes on there as soon
// as the connection has been silent for a while, and not only when it has ended.
func TestDirectPathBreaks(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"bridge", "Rust"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, public)
			relay, want, text := w.relay("relay", 0), file(t, large), ""
			if provider == "Rust" {
				text = peertest.Serve(t, w.rust(w.host("open"), relay), want).Items[0].Ticket
			} else {
				text = runInto[peer.Content](t, w.bridge(w.host("open"), nil, relay), "add", want).Ticket
			}
			b := w.bridge(w.site(netns.EndpointDependent).Host, nil, relay)
			p, text := w.proxy(text, steady)
			text = retarget(t, text, func(addr *ticket.EndpointAddr) { addr.Relays = []string{relay.URL} })
			during(t, func() {
				got := runInto[struct {
					Providers []struct {
						Connections int
						Error       string
					}
				}](t, b, "fetch", text)
				if len(got.Providers) != 1 || got.Providers[0].Connections != 2 || got.Providers[0].Error != "" {
					t.Errorf("%+v; want a second connection, and none that ended by itself", got.Providers)
				}
			}, 0, func(context.Context) error {
				for end := time.Now().Add(time.Minute); p.Counts().ToClients < large/4 && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
				}
				p.Cut()
				return nil
			})
			fetched(t, b, want, text)
		})
	}
}
