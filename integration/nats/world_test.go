package nats

import (
	"context"
	"encoding/json"
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

// program is the bridge under test, built once for all tests.
var program peer.Bridge

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bridge-nats-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = peer.BuildBridge(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// public is what the internet is here: addresses for documentation.
var public = netip.MustParsePrefix("203.0.113.0/24")

// world is an internet, with sites that hang on it.
type world struct {
	t     testing.TB
	lab   *netns.Lab
	net   *netns.Segment
	next  netip.Addr // free address of the internet
	sites int
}

func newWorld(t testing.TB, internet netip.Prefix) *world {
	t.Helper()
	w := &world{t: t, lab: peertest.Lab(t)}
	w.net = check(w.lab.Segment(w.ctx(), "net", internet))(t)
	w.next = w.net.Gateway()
	return w
}

// check is for calls that must succeed: check(f())(t).
func check[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (w *world) ctx() context.Context { return peertest.Context(w.t) }

// host adds a public host.
func (w *world) host(name string) *netns.Host {
	w.t.Helper()
	h := check(w.lab.Host(w.ctx(), name))(w.t)
	w.plug(h)
	return h
}

// plug plugs a host into the internet and returns its interface.
func (w *world) plug(h *netns.Host) string {
	w.t.Helper()
	w.next = w.next.Next()
	return check(h.Join(w.ctx(), w.net, w.next, w.net.Gateway()))(w.t)
}

// site is a private network behind a router.
type site struct {
	*netns.Host // the one in it
	router      *netns.Host
	outside     string // the router's interface to the internet
}

// site adds a network 10.N.0.0/24 with a host 10.N.0.2 behind a router of a kind.
func (w *world) site(kind netns.NAT) *site {
	w.t.Helper()
	w.sites++
	n := byte(w.sites)
	lan := check(w.lab.Segment(w.ctx(), fmt.Sprintf("lan%d", n), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n}), 24)))(w.t)
	s := &site{router: check(w.lab.Host(w.ctx(), fmt.Sprintf("router%d", n)))(w.t)}
	s.outside = w.plug(s.router)
	inner := netip.AddrFrom4([4]byte{10, n, 0, 254})
	check(s.router.Join(w.ctx(), lan, inner, netip.Addr{}))(w.t)
	if err := s.router.Masquerade(w.ctx(), s.outside, kind); err != nil {
		w.t.Fatal(err)
	}
	s.Host = check(w.lab.Host(w.ctx(), fmt.Sprintf("host%d", n)))(w.t)
	check(s.Host.Join(w.ctx(), lan, netip.AddrFrom4([4]byte{10, n, 0, 2}), inner))(w.t)
	return s
}

// outer is the router's address on the internet.
func (s *site) outer() netip.Addr { return s.router.Addrs[0] }

// relay starts a relay with TLS and address discovery on a new public host.
func (w *world) relay(name string) *peer.RelayServer {
	w.t.Helper()
	return peertest.Relay(w.t, peer.RelayConfig{TLS: true, QUIC: 7842, Place: peer.At(w.host(name))})
}

// rust is the Rust peer on a host, with a relay unless that is nil.
func (w *world) rust(h *netns.Host, relay *peer.RelayServer, flags ...string) peer.RustPeer {
	w.t.Helper()
	r := peertest.Rust(w.t)
	r.Place, r.Flags = peer.At(h), flags
	if relay != nil {
		r.Relay, r.RelayCA = relay.URL, relay.CertDER
	}
	return r
}

// irohPort is the bridge's UDP port.
const irohPort = 4022

// bridge starts a bridge on a host, with relays unless there are none. What more there is to configure is in env.
func (w *world) bridge(h *netns.Host, relays []*peer.RelayServer, env ...string) *peer.Daemon {
	w.t.Helper()
	b := program
	b.Netns = h.Namespace
	var urls []string
	for _, relay := range relays {
		urls = append(urls, relay.URL)
	}
	if len(urls) > 0 {
		roots := filepath.Join(w.t.TempDir(), "roots.pem")
		if err := os.WriteFile(roots, certificates(w.t, relays), 0o644); err != nil {
			w.t.Fatal(err)
		}
		env = append(env, "BRIDGE_RELAY_URLS="+strings.Join(urls, ","), "BRIDGE_RELAY_CA_FILE="+roots)
	}
	b.Env = env
	d := check(b.Daemon(w.ctx(), filepath.Join(w.t.TempDir(), "data"),
		"--iroh-listen", fmt.Sprintf("0.0.0.0:%d", irohPort)))(w.t)
	peertest.Keep(w.t, d.Process)
	return d
}

func certificates(t testing.TB, relays []*peer.RelayServer) (all []byte) {
	for _, relay := range relays {
		all = append(all, check(os.ReadFile(relay.Cert))(t)...)
	}
	return all
}

// run runs a command of a bridge that must succeed, and returns its last line.
func run(t testing.TB, d *peer.Daemon, args ...string) []byte {
	t.Helper()
	r := d.Run(peertest.Context(t), append([]string{"--json"}, args...)...)
	if r.Status != 0 {
		t.Fatalf("bridge %s: status %d\n%s%s", strings.Join(args, " "), r.Status, r.Stderr, r.Stdout)
	}
	lines := strings.Split(strings.TrimSpace(string(r.Stdout)), "\n")
	return []byte(lines[len(lines)-1])
}

// runInto is run that decodes the line.
func runInto[T any](t testing.TB, d *peer.Daemon, args ...string) (value T) {
	t.Helper()
	line := run(t, d, args...)
	if err := json.Unmarshal(line, &value); err != nil {
		t.Fatalf("bridge %s: %v in %s", args[0], err, line)
	}
	return value
}

// connection is an iroh connection, as `bridge peers` tells it.
type connection struct {
	Network, ID, Path string
	Relayed, Dialed   bool
}

// connections lists a bridge's iroh connections with a peer.
func connections(t testing.TB, d *peer.Daemon, id string) (all []connection) {
	t.Helper()
	for _, c := range runInto[struct{ Peers []connection }](t, d, "peers").Peers {
		if c.Network == "iroh" && c.ID == id {
			all = append(all, c)
		}
	}
	return all
}

// until waits until a condition holds.
func until(t testing.TB, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}
