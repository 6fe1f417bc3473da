package relays

import (
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// discovering are relays with QUIC address discovery, which share a certificate.
func discovering(t testing.TB, hosts ...string) (relay.Map, *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	var m relay.Map
	var roots *x509.CertPool
	for _, host := range hosts {
		server := peertest.Relay(t, peer.RelayConfig{Dir: dir, TLS: true, Place: peer.Place{Addr: netip.MustParseAddr(host)}})
		n, err := relay.ParseNode(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		n.QADPort = server.QUIC
		m, roots = append(m, n), server.Roots
	}
	return m, roots
}

// behind puts a NAT between an endpoint and the address discovery of a relay on 127.0.0.1: a proxy, with an address of its own
// for each.
func behind(t testing.TB, n relay.Node) (relay.Node, *fault.Proxy) {
	t.Helper()
	p, err := fault.NewProxy(netip.AddrPortFrom(n.URL.IP(), n.QAD()), fault.Link{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	n.QADPort = int(p.Addr().Port())
	return n, p
}

func listen(t testing.TB, cfg iroh.Config) *iroh.Endpoint {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg.SecretKey = secret
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	e, err := iroh.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// observes waits until ok says yes to the addresses of e, looking only when it is told that they have changed.
func observes(t testing.TB, e *iroh.Endpoint, what string, ok func([]netip.AddrPort) bool) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		changed := e.AddrChanged()
		if ok(e.Addr().Direct) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: %v", what, e.Addr().Direct)
		}
	}
}

func TestRelaysSeeAnEndpointWithoutNAT(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1", "127.0.0.2")
	e := listen(t, iroh.Config{Relays: m, RelayRoots: roots})
	r := e.Report(t.Context())
	if r.NAT != iroh.NATNone || !slices.Equal(r.IPv4.Observed, e.LocalAddrs()) || len(r.IPv6.Observed) != 0 || len(r.Relays) != 2 {
		t.Fatalf("%+v", r)
	}
	for i, one := range r.Relays {
		if one.URL != m[i].URL.String() || one.IPv4 != e.LocalAddrs()[0] || one.By != "quic" || one.Err != "" || one.QUICErr != "" {
			t.Errorf("%+v", one)
		}
		if one.Latency <= 0 || one.Latency > 3*time.Second {
			t.Errorf("latency %s", one.Latency)
		}
	}
	if r.Clock == nil || r.Clock.Offset.Abs() > 3*time.Second {
		t.Errorf("clock %+v", r.Clock)
	}
	if got := e.Addr().Direct; !slices.Equal(got, e.LocalAddrs()) {
		t.Errorf("the same address is told twice: %v", got)
	}
}

func TestRelaySeesBothFamilies(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1", "::1")
	e := listen(t, iroh.Config{Relays: m, RelayRoots: roots, Listen: "[::]:0"})
	r := e.Report(t.Context())
	port := r.Listen.Port()
	v4, v6 := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), netip.AddrPortFrom(netip.IPv6Loopback(), port)
	if !slices.Equal(r.IPv4.Observed, []netip.AddrPort{v4}) || !slices.Equal(r.IPv6.Observed, []netip.AddrPort{v6}) {
		t.Errorf("%+v", r)
	}
	for _, one := range r.Relays {
		if one.QUICErr != "" || one.By != "quic" {
			t.Errorf("%+v", one)
		}
	}
	if got := e.Addr().Direct; slices.Contains(got, v4) || slices.Contains(got, v6) {
		t.Errorf("loopback is told to others: %v", got)
	}
}

// One relay behind a NAT: what it sees is told to others, and leads to the endpoint as long as the NAT has it.
func TestObservedAddressIsTold(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1")
	var nat *fault.Proxy
	m[0], nat = behind(t, m[0])
	e := listen(t, iroh.Config{Relays: m, RelayRoots: roots, ALPNs: []string{blobs.ALPN}})
	local := e.LocalAddrs()[0]
	observes(t, e, "an address comes to it", func(a []netip.AddrPort) bool { return len(a) == 2 && a[1] == local && a[0] != local })
	r := e.Report(t.Context())
	if r.NAT != iroh.NATUnknown || len(r.IPv4.Observed) != 1 || r.Relays[0].IPv4 == local {
		t.Errorf("%+v", r)
	}

	// The connection that stays open costs nothing until it is time for a PING.
	time.Sleep(time.Second)
	quiet := nat.Counts()
	time.Sleep(3 * time.Second)
	if now := nat.Counts(); now.Packets > quiet.Packets+2 {
		t.Errorf("%d packets in 3 s: %+v", now.Packets-quiet.Packets, now)
	}

	// The NAT gives the endpoint another address: the relay sees that with the next PING, and says so at once.
	before := e.Addr().Direct[0]
	nat.Rebind()
	observes(t, e, "another address comes", func(a []netip.AddrPort) bool { return len(a) == 2 && a[0] != before && a[0] != local })
}

// Two relays see two addresses: no one is of use to others.
func TestEndpointDependentNATIsTold(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1", "127.0.0.1")
	for i := range m {
		m[i], _ = behind(t, m[i])
	}
	e := listen(t, iroh.Config{Relays: m, RelayRoots: roots})
	r := e.Report(t.Context())
	if r.NAT != iroh.NATEndpointDependent || len(r.IPv4.Observed) != 2 {
		t.Errorf("%+v", r)
	}
	if got := e.Addr().Direct; !slices.Equal(got, e.LocalAddrs()) {
		t.Errorf("it tells others %v", got)
	}
}

func TestRelaysWithoutAddressDiscovery(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1")
	silent, nat := behind(t, m[0])
	nat.Cut()
	off, closed := m[0], m[0]
	off.QADPort = -1
	closed.QADPort = 9
	for name, c := range map[string]struct {
		node  relay.Node
		roots *x509.CertPool
		words string
		by    string
	}{
		"it is turned off":           {off, roots, "", "http"},
		"nobody listens":             {closed, roots, "no answer", "http"},
		"it is blocked":              {silent, roots, "no answer", "http"},
		"its certificate is foreign": {m[0], x509.NewCertPool(), "certificate", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := listen(t, iroh.Config{Relays: relay.Map{c.node}, RelayRoots: c.roots})
			start := time.Now()
			r := e.Report(t.Context())
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			one := r.Relays[0]
			if one.IPv4.IsValid() || r.NAT != iroh.NATUnknown || one.By != c.by || !strings.Contains(one.QUICErr, c.words) || (c.words == "") != (one.QUICErr == "") {
				t.Errorf("%+v", r)
			}
			if (c.by == "") != (one.Err != "") {
				t.Errorf("%+v", one)
			}
		})
	}
}

// A report ends with its context, and with the endpoint.
func TestReportEnds(t *testing.T) {
	m, roots := discovering(t, "127.0.0.1")
	silent, nat := behind(t, m[0])
	nat.Cut()
	var report, closing time.Duration
	for tries := 1; ; tries++ { // a relay has 3 s to answer, and a machine that is busy takes some of them at times
		report, closing = ends(t, iroh.Config{Relays: relay.Map{silent}, RelayRoots: roots})
		if report < time.Second && closing < 2*time.Second {
			break
		}
		if tries == 5 {
			t.Fatalf("the report took %s, close %s", report, closing)
		}
	}
}

// ends is how long a report takes whose context ends, and how long Close does while there is one.
func ends(t *testing.T, cfg iroh.Config) (report, closing time.Duration) {
	t.Helper()
	e := listen(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if r := e.Report(ctx); len(r.Relays) != 1 {
		t.Errorf("%d relays", len(r.Relays))
	}
	report = time.Since(start)
	over := make(chan struct{})
	go func() { e.Report(context.Background()); close(over) }()
	time.Sleep(50 * time.Millisecond)
	start = time.Now()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	<-over
	closing = time.Since(start)
	if r := e.Report(t.Context()); r.Addr.ID != e.ID() {
		t.Errorf("after the end: %+v", r)
	}
	return report, closing
}
