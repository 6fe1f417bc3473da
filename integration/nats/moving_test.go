package nats

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
)

// A machine that gets another address notices it by itself, and the relay is asked anew.
func TestNewAddressIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, public)
	relay := w.relay("relay", 0)
	h := check(w.lab.Host(w.ctx(), "mobile"))(t)
	dev := w.plug(h)
	d := w.bridge(h, nil, relay)
	more := netip.MustParseAddr("203.0.113.99")
	ip := check(netns.Program("ip"))(t)
	name, args := netns.Command(h.Namespace, ip, []string{"address", "add", more.String() + "/24", "dev", dev})
	if out, err := exec.CommandContext(w.ctx(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const noticed = "addresses of this machine have changed"
	for end := time.Now().Add(time.Minute); !strings.Contains(d.Log(), noticed); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not notice")
		}
	}
	report := runInto[struct {
		Addrs []string
		NAT   string
	}](t, d, "doctor")
	if !slices.Contains(report.Addrs, irohAt(more).String()) || !slices.Contains(report.Addrs, irohAt(h.Addrs[0]).String()) || report.NAT != "none" {
		t.Errorf("%+v", report)
	}
}
