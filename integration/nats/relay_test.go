package nats

import (
	"path/filepath"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// What the Rust peer does with itself: across NATs that keep ports it punches a hole, across others it stays on the relay. It
// shows that the NATs here are what they are said to be.
func TestRustAmongThemselves(t *testing.T) {
	for _, kind := range []netns.NAT{netns.EndpointDependent, netns.EndpointIndependent} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, public)
			relay := w.relay("relay")
			a, b := w.site(kind), w.site(kind)
			want := file(t, large)
			node := peertest.Serve(t, w.rust(a.Host, relay), want)
			out := filepath.Join(t.TempDir(), "out")
			got := check(w.rust(b.Host, relay).Fetch(w.ctx(), "mem", node.Items[0].Ticket, out))(t)
			same(t, out, want)
			t.Logf("%s in %.1f s", got.Path, got.Seconds)
			if relayed := got.Path == relay.URL; kind == netns.EndpointDependent && !relayed {
				t.Errorf("ended on %s", got.Path)
			}
		})
	}
}
