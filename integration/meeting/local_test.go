package meeting

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// watched makes a machine with a default route, in a network without a way out, that counts what programs send.
func watched(t *testing.T) *netns.Host {
	t.Helper()
	lab, ctx := peertest.Lab(t), peertest.Context(t)
	segment, err := lab.Segment(ctx, "wire", netip.MustParsePrefix("198.51.100.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := lab.Host(ctx, "machine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Join(ctx, segment, netip.MustParseAddr("198.51.100.7"), segment.Gateway()); err != nil {
		t.Fatal(err)
	}
	if err := h.Nft(ctx, "table inet watch {\nchain out {\ntype filter hook output priority 0;\nmeta l4proto { tcp, udp } counter\n}\n}\n"); err != nil {
		t.Fatal(err)
	}
	return h
}

// sent is how many packets the machine's programs have sent, to itself as well.
func sent(t *testing.T, h *netns.Host) int {
	t.Helper()
	path, args := netns.Command(h.Namespace, "nft", []string{"list", "table", "inet", "watch"})
	out, _, err := peer.Output(peertest.Context(t), peer.Command{Path: path, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`counter packets (\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no counter in %s", out)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLocalContactsNobody: a daemon that is told no more than to be local, on its default ports, sends not a single packet in the
// network, to no name server either; nor does a command, which asks the gateway for no port even where a daemon would. A daemon that
// names somebody does, which shows that it would be seen.
func TestLocalContactsNobody(t *testing.T) {
	h := watched(t)
	b := program
	b.Netns, b.Env = h.Namespace, []string{"BRIDGE_LOCAL=1", "BRIDGE_IROH_PORT_MAPPING=on", "BRIDGE_LIBP2P_PORT_MAPPING=on"}
	ctx, data := peertest.Context(t), filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"id"}, {"doctor"}, {"ls"}, {"peers"}, {"fetch", strings.Repeat("1", 64), "--from", "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"}} {
		if r := b.Run(ctx, data, args...); r.Status != 0 && args[0] != "fetch" {
			t.Errorf("%v: %s", args, r.Stderr)
		}
	}
	if n := sent(t, h); n != 0 {
		t.Errorf("commands have sent %d packets", n)
	}
	for name, env := range map[string]string{
		"": "", "a relay": "BRIDGE_RELAY_URLS=http://192.0.2.1/", "a relay by name": "BRIDGE_RELAY_URLS=http://relay.invalid/",
		"the gateway": "BRIDGE_IROH_PORT_MAPPING=on", "the gateway, for libp2p": "BRIDGE_LIBP2P_PORT_MAPPING=on",
	} {
		before := sent(t, h)
		b.Env = []string{"BRIDGE_LOCAL=1"}
		if env != "" {
			b.Env = append(b.Env, env)
		}
		d, err := b.DefaultDaemon(ctx, filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		n := sent(t, h) - before
		for end := time.Now().Add(time.Minute); env != "" && n == 0 && time.Now().Before(end); n = sent(t, h) - before {
			time.Sleep(100 * time.Millisecond)
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if (n == 0) != (env == "") {
			t.Errorf("with %q named, it has sent %d packets\n%s", name, n, d.Log())
		}
	}
}
