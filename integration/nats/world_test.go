package nats

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

// atOnce is how many tests run at once. They wait more than they work.
const atOnce = "4"

func testMain(m *testing.M) int {
	flag.Parse()
	flag.Set("test.parallel", atOnce)
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

// What the internet is here: addresses for documentation.
var (
	public  = netip.MustParsePrefix("203.0.113.0/24")
	public6 = netip.MustParsePrefix("2001:db8::/64")
)

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
	name        string
	lan         *netns.Segment
	router      *netns.Host
	outside     string // the router's interface to the internet
	inside      string // that to the site
}

// lan is a private network 10.N.0.0/24, or fd00:N::/64 in a world of IPv6.
func (w *world) lan(n byte) netip.Prefix {
	if w.next.Is4() {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0, n}), 64)
}

// member is the Nth address of a network.
func member(p netip.Prefix, n byte) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1] = n
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// site adds a network such as 10.N.0.0/24 with a host 10.N.0.2 behind a router of a kind.
func (w *world) site(kind netns.NAT) *site {
	w.t.Helper()
	w.sites++
	n := byte(w.sites)
	s := &site{name: fmt.Sprintf("site%d", n)}
	lan := w.lan(n)
	s.lan = check(w.lab.Segment(w.ctx(), s.name, lan))(w.t)
	s.router = check(w.lab.Host(w.ctx(), s.name+"r"))(w.t)
	s.outside = w.plug(s.router)
	inner := member(lan, 254)
	s.inside = check(s.router.Join(w.ctx(), s.lan, inner, netip.Addr{}))(w.t)
	if err := s.router.Masquerade(w.ctx(), s.outside, kind); err != nil {
		w.t.Fatal(err)
	}
	s.Host = check(w.lab.Host(w.ctx(), s.name+"a"))(w.t)
	check(s.Host.Join(w.ctx(), s.lan, member(lan, 2), inner))(w.t)
	return s
}

// neighbour adds another host 10.N.0.3 to a site.
func (w *world) neighbour(s *site) *netns.Host {
	w.t.Helper()
	h := check(w.lab.Host(w.ctx(), s.name+"b"))(w.t)
	check(h.Join(w.ctx(), s.lan, s.Addrs[0].Next(), s.router.Addrs[1]))(w.t)
	return h
}

// outer is the router's address on the internet.
func (s *site) outer() netip.Addr { return s.router.Addrs[0] }

// relay starts a relay with TLS and address discovery on a new public host. It takes so many bytes per second from each client;
// 0 is no limit.
func (w *world) relay(name string, bytesPerSecond int) *relayHost {
	w.t.Helper()
	peertest.Need(w.t, peer.Relay)
	cfg := peer.RelayConfig{TLS: true, QUIC: 7842, Dir: w.t.TempDir(), Place: peer.At(w.host(name))}
	if bytesPerSecond > 0 {
		cfg.More = fmt.Sprintf("limits.client.rx.bytes_per_second = %d", bytesPerSecond)
	}
	r := &relayHost{cfg: cfg}
	if err := r.start(w.ctx()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { r.Stop() })
	return r
}

// relayHost is a relay that can be started again.
type relayHost struct {
	*peer.RelayServer
	cfg peer.RelayConfig
}

// start starts the relay, at the address of the last time if there was one.
func (r *relayHost) start(ctx context.Context) (err error) {
	r.RelayServer, err = peer.Cache{}.StartRelay(ctx, r.cfg)
	if err == nil {
		r.cfg.Port = r.Port
	}
	return err
}

// rust is the Rust peer on a host, with a relay unless that is nil.
func (w *world) rust(h *netns.Host, relay *relayHost, flags ...string) peer.RustPeer {
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

// calm is how many bytes per second a bridge gives, so that there is time to ask how they go.
const calm = 24 << 20

// anywhere is where bridges listen.
func (w *world) anywhere() netip.AddrPort {
	if w.next.Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), irohPort)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), irohPort)
}

// bridge starts a bridge on a host, with relays unless there are none. What more there is to configure is in env.
func (w *world) bridge(h *netns.Host, env []string, relays ...*relayHost) *peer.Daemon {
	w.t.Helper()
	b := program
	b.Netns = h.Namespace
	env = append(slices.Clone(env), fmt.Sprintf("BRIDGE_PROVIDER_ALL_BYTE_RATE=%d", calm))
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
		"--iroh-listen", w.anywhere().String()))(w.t)
	peertest.Keep(w.t, d.Process)
	return d
}

func certificates(t testing.TB, relays []*relayHost) (all []byte) {
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

// diagnosis is what `bridge doctor --json` says.
type diagnosis struct {
	HomeRelay string
	Addrs     []string
	SeenIPv4  []string
	NAT       string
	Mapped    string
	Relays    []struct {
		URL, SeenIPv4, Error string
		Connected            bool
	}
	Sources []struct {
		Name         string
		Works, Found bool
	}
}

// path is how an iroh connection goes, as `bridge peers` tells it.
type path struct {
	Path    string
	Relayed bool
}

// paths lists the paths of a bridge's iroh connections.
func paths(ctx context.Context, d *peer.Daemon) (all []path, err error) {
	r := d.Run(ctx, "--json", "peers")
	if r.Status != 0 {
		return nil, fmt.Errorf("bridge peers: status %d: %s", r.Status, r.Stderr)
	}
	for line := range strings.Lines(string(r.Stdout)) {
		var p struct {
			Network string
			path
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return nil, fmt.Errorf("bridge peers: %w in %q", err, line)
		}
		if p.Network == "iroh" {
			all = append(all, p.path)
		}
	}
	return all, nil
}

// watch asks a bridge for its paths again and again, until stop is called, which returns all that there were, in the order in which
// they were seen first.
func watch(t testing.TB, d *peer.Daemon) (stop func() []path) {
	ctx, cancel := context.WithCancel(peertest.Context(t))
	done := make(chan []path, 1)
	go func() {
		var seen []path
		for ctx.Err() == nil {
			now, err := paths(ctx, d)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				break
			}
			for _, p := range now {
				if !slices.Contains(seen, p) {
					seen = append(seen, p)
				}
			}
		}
		done <- seen
	}()
	return func() []path {
		cancel()
		return <-done
	}
}

// during runs a transfer, and something else when it has begun; the transfer must still be going on when that is over.
func during(t testing.TB, transfer func(), after time.Duration, event func(context.Context) error) {
	t.Helper()
	var over time.Time
	var err error
	ctx, done := peertest.Context(t), make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(after)
		err = event(ctx)
		over = time.Now()
	}()
	defer func() { <-done }() // also when the transfer ends the test
	began := time.Now()
	transfer()
	ended := time.Now()
	if <-done; err != nil {
		t.Error(err)
	}
	if ended.Before(over) {
		t.Error("the transfer was over before all of it had happened")
	}
	t.Logf("%.1f s", ended.Sub(began).Seconds())
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
