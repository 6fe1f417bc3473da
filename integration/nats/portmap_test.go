package nats

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// routable is an internet of addresses that somebody has: miniupnpd refuses to map ports of others.
var routable = netip.MustParsePrefix("5.5.5.0/24")

// upnpRules are the chains that miniupnpd writes mappings to.
const upnpRules = `
table inet upnp {
	chain forward { }
	chain mapped { }
	chain back { }
	chain prerouting {
		type nat hook prerouting priority dstnat
		jump mapped
	}
	chain postrouting {
		type nat hook postrouting priority 90
		jump back
	}
}
`

const upnpConfig = `ext_ifname=%s
listening_ip=%s
enable_upnp=%s
enable_natpmp=%s
port=5000
secure_mode=yes
min_lifetime=1
max_lifetime=86400
uuid=8f1d4c3e-4b8e-4a44-9c55-6d7b7e1f2a30
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=forward
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=back
allow 1024-65535 10.0.0.0/8 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// gateway makes the router of a site map ports for who asks.
func (w *world) gateway(s *site, upnp, natpmp string) {
	w.t.Helper()
	if err := s.router.Nft(w.ctx(), upnpRules); err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	file := filepath.Join(dir, "miniupnpd.conf")
	text := fmt.Sprintf(upnpConfig, s.outside, s.inside, upnp, natpmp)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := check(peer.Start(w.ctx(), peer.Command{
		Path: peertest.Program(w.t, "miniupnpd"), Args: []string{"-d", "-f", file, "-P", filepath.Join(dir, "pid")}, Netns: s.router.Namespace,
	}))(w.t)
	peertest.Keep(w.t, p)
	until(w.t, time.Minute, "miniupnpd listens", func() bool { return strings.Contains(p.Log(), "istening ") })
}

// A bridge behind a router that maps ports is reached directly from outside, without a relay, and tells so.
func TestReachedThroughMappedPort(t *testing.T) {
	t.Parallel()
	for protocol, on := range map[string][2]string{"UPnP": {"yes", "no"}, "NAT-PMP": {"no", "yes"}} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, routable)
			s := w.site(netns.EndpointDependent)
			w.gateway(s, on[0], on[1])
			a := w.bridge(s.Host, []string{"BRIDGE_IROH_PORT_MAPPING=on"})
			var mapped netip.AddrPort
			until(t, time.Minute, "a port is mapped", func() bool {
				var err error
				mapped, err = netip.ParseAddrPort(runInto[diagnosis](t, a, "doctor").Mapped)
				return err == nil
			})
			if mapped.Addr() != s.outer() {
				t.Errorf("mapped is %s", mapped)
			}
			want := file(t, large)
			added := runInto[peer.Content](t, a, "add", want)
			b := w.bridge(w.site(netns.EndpointDependent).Host, nil)
			stop := watch(t, b)
			fetched(t, b, want, added.Ticket)
			endsOn(t, stop(), mapped)
			if got := rustFetched(t, w.rust(w.host("open"), nil), want, added.Ticket); got.Path != mapped.String() {
				t.Errorf("the Rust peer ended on %s, want %s", got.Path, mapped)
			}
		})
	}
}
