package iroh

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

func TestConnsTellOfBothEnds(t *testing.T) {
	a, b := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	if got := a.Conns(); len(got) != 0 {
		t.Fatalf("before any: %+v", got)
	}
	before := time.Now()
	dialed, accepted := pair(t, a, b)
	go echo(deadline(t), accepted)
	exchange(t, dialed, random(100_000))
	for _, end := range []struct {
		of, peer *Endpoint
		dialed   bool
	}{{a, b, true}, {b, a, false}} {
		got := end.of.Conns()
		if len(got) != 1 {
			t.Fatalf("%d connections", len(got))
		}
		c := got[0]
		if c.ID != end.peer.ID() || c.ALPN != testALPN || c.Path.Addr != end.peer.socket.local || c.Dialed != end.dialed {
			t.Errorf("%+v", c)
		}
		if c.Since.Before(before) || c.Since.After(time.Now()) || c.RTT <= 0 || c.RTT > 5*time.Second {
			t.Errorf("since %s, round trip %s", c.Since, c.RTT)
		}
		for _, n := range []Traffic{c.Sent, c.Received} {
			if n.Bytes < 100_000 || n.Bytes > 300_000 || n.Packets < 50 || n.Packets > 3000 {
				t.Errorf("traffic %+v", n)
			}
		}
	}
	dialed.CloseWithError(0, "")
	eventually(t, "both ends forget the connection", func() bool { return len(a.Conns())+len(b.Conns()) == 0 })
}

// gateway is a port mapper whose gateway the test plays.
type gateway struct {
	mu       sync.Mutex
	external netip.AddrPort
	changed  chan struct{}
}

func (g *gateway) External() netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.external
}

func (g *gateway) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *gateway) set(a netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.external = a
	close(g.changed)
	g.changed = make(chan struct{})
}

func TestAddrChangesWithTheMappedPort(t *testing.T) {
	g := &gateway{changed: make(chan struct{})}
	e := endpoint(t, "127.0.0.1", func(c *Config) { c.PortMapper = g })
	for _, external := range []string{"198.51.100.1:4022", "198.51.100.1:4023", ""} {
		changed := e.AddrChanged()
		want := netip.AddrPort{}
		if external != "" {
			want = netip.MustParseAddrPort(external)
		}
		g.set(want)
		waitFor(t, changed)
		got := e.Addr().Direct
		if want.IsValid() && (len(got) != 2 || got[0] != want) || !want.IsValid() && len(got) != 1 {
			t.Errorf("mapped to %q: %v", external, got)
		}
	}
	changed := e.AddrChanged()
	e.Addr()
	select {
	case <-changed:
		t.Error("nothing has changed")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestAddrChangesWithTheHomeRelay(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	e := relaysOf(t, server)
	for len(e.Addr().Relays) == 0 {
		changed := e.AddrChanged()
		if len(e.Addr().Relays) == 0 {
			waitFor(t, changed)
		}
	}
}

func waitFor(t testing.TB, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not come")
	}
}
