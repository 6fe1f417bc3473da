package nats

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/netns"
)

// Two relays tell the bridge by QUIC address discovery how they see it, through the NAT; it tells of that and of the kind of
// NAT that it concludes from it.
func TestDoctorTellsOuterAddressAndNAT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	one, two := w.relay("one", 0), w.relay("two", 0)
	for _, c := range []struct {
		nat   string
		host  *netns.Host
		outer netip.Addr
	}{
		{nat: "none", host: w.host("open")},
		{nat: "endpoint-independent"},
		{nat: "endpoint-dependent"},
	} {
		t.Run(c.nat, func(t *testing.T) {
			if c.host != nil {
				c.outer = c.host.Addrs[0]
			} else {
				s := w.site(map[string]netns.NAT{"endpoint-independent": kinds[0], "endpoint-dependent": kinds[1]}[c.nat])
				c.host, c.outer = s.Host, s.outer()
			}
			b := w.bridge(c.host, nil, one, two)
			d := runInto[diagnosis](t, b, "doctor")
			if d.NAT != c.nat || len(d.Relays) != 2 {
				t.Fatalf("doctor says %+v, want %s", d, c.nat)
			}
			known := fmt.Sprintf("%s:%d", c.outer, irohPort)
			for _, relay := range d.Relays {
				seen, err := netip.ParseAddrPort(relay.SeenIPv4)
				if err != nil || seen.Addr() != c.outer || relay.Error != "" || !slices.Contains(d.SeenIPv4, relay.SeenIPv4) {
					t.Errorf("relay %+v; want %s", relay, c.outer)
				}
				if same := seen.String() == known; same != (c.nat != "endpoint-dependent") {
					t.Errorf("%s is seen as %s", known, seen)
				}
			}
			if told := slices.Contains(d.Addrs, known); told != (c.nat != "endpoint-dependent") {
				t.Errorf("tickets name %s; the outer address is %s", d.Addrs, known)
			}
		})
	}
}
