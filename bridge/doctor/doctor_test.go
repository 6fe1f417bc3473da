package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/portmap"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const home = "https://relay.example./"

// good are facts with which nothing is wrong.
func good() Facts {
	own := netip.MustParseAddrPort("192.0.2.1:4022")
	n := 2
	return Facts{
		Daemon: true, Publish: "relay",
		Report: iroh.Report{
			Addr:   ticket.EndpointAddr{ID: key.SecretKeyFromSeed([32]byte{1}).ID(), Relays: []string{home}, Direct: []netip.AddrPort{own}},
			Listen: netip.MustParseAddrPort("0.0.0.0:4022"), NAT: iroh.NATNone,
			Relays: []iroh.RelayReport{{URL: home, Home: true, Connected: true, Latency: 12 * time.Millisecond, By: "quic", IPv4: own}},
			IPv4:   iroh.Family{Socket: true, Local: true, Observed: []netip.AddrPort{own}},
			Clock:  &iroh.ClockReport{Relay: home, Offset: time.Second},
		},
		Mapping:    &portmap.Status{Protocol: portmap.UPnP, External: own},
		Answers:    []discovery.Answer{{Source: "static", Err: discovery.ErrNotFound}, {Source: "dns", Took: time.Millisecond}, {Source: "pkarr"}, {Source: "mdns", Err: discovery.ErrNotFound}},
		Published:  []discovery.SinkStatus{{Sink: "pkarr", Published: time.Now()}, {Sink: "mdns", Published: time.Now()}},
		Neighbours: &n,
		Libp2p:     Libp2p{Reachability: "public", DHT: true, Connections: 3},
	}
}

func TestGoodFacts(t *testing.T) {
	d := Diagnose(good())
	for _, c := range d.Checks {
		if c.State == Problem || c.State == Warning {
			t.Errorf("%+v", c)
		}
		if !strings.HasSuffix(c.Text, ".") || c.Advice != "" && !strings.HasSuffix(c.Advice, ".") {
			t.Errorf("no sentence: %+v", c)
		}
	}
	if d.Problems != 0 || d.HomeRelay != home || d.NAT != "none" || d.Mapped != "192.0.2.1:4022" || *d.ClockMillis != 1000 ||
		len(d.Sources) != 3 || !d.Sources[0].Found || d.Relays[0].LatencyMillis != 12 || d.Relays[0].SeenIPv4 != "192.0.2.1:4022" {
		t.Errorf("%+v", d)
	}
}

// TestLocalLoopback: a bridge that only this machine reaches is not called public, nor told to listen elsewhere.
func TestLocalLoopback(t *testing.T) {
	f := good()
	f.Local, f.Report.Listen = true, netip.MustParseAddrPort("127.0.0.1:4022")
	d := Diagnose(f)
	if d.Libp2p.Reachability != "unknown" {
		t.Errorf("local, and %s", d.Libp2p.Reachability)
	}
	advised := func(d Diagnosis) bool {
		return slices.ContainsFunc(d.Checks, func(c Check) bool { return strings.Contains(c.Advice, "[::]:4022") })
	}
	if advised(d) || !advised(Diagnose(good())) {
		t.Errorf("%+v", d.Checks)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	broken := errors.New("no route")
	for name, tc := range map[string]struct {
		change func(*Facts)
		check  string
		state  State
		words  string
	}{
		"relay that answers nothing": {func(f *Facts) { f.Report.Relays[0] = iroh.RelayReport{URL: home, Home: true, Err: "no route"} }, "relay", Problem, "no connection to a home relay"},
		"another relay":              {func(f *Facts) { f.Report.Relays = append(f.Report.Relays, iroh.RelayReport{URL: "x", Err: "no route"}) }, "relay", Warning, "no route"},
		"no relay":                   {func(f *Facts) { f.Report.Relays = nil }, "relay", Warning, "No relay is used"},
		"local":                      {func(f *Facts) { f.Report.Relays, f.Local = nil, true }, "relay", Info, "local"},
		"no address discovery":       {func(f *Facts) { f.Report.Relays[0].QUICErr = "timeout" }, "relay", Info, "does not tell us our address"},
		"no IPv6":                    {func(*Facts) {}, "address", Info, "no IPv6 socket"},
		"hard NAT":                   {func(f *Facts) { f.Report.NAT = iroh.NATEndpointDependent }, "nat", Warning, "another address"},
		"easy NAT":                   {func(f *Facts) { f.Report.NAT = iroh.NATEndpointIndependent }, "nat", OK, "same address"},
		"no mapping":                 {func(f *Facts) { f.Mapping = &portmap.Status{Err: broken} }, "port-mapping", Info, "no route"},
		"mapping under way":          {func(f *Facts) { f.Mapping = &portmap.Status{} }, "port-mapping", Info, "not answered yet"},
		"mapping switched off":       {func(f *Facts) { f.Mapping = nil }, "port-mapping", Info, "switched off"},
		"clock a bit off":            {func(f *Facts) { f.Report.Clock.Offset = -10 * time.Second }, "clock", Warning, "10s"},
		"clock off":                  {func(f *Facts) { f.Report.Clock.Offset = -time.Hour }, "clock", Problem, "1h0m0s"},
		"no time":                    {func(f *Facts) { f.Report.Clock = nil }, "clock", Info, "not looked at"},
		"DNS is broken":              {func(f *Facts) { f.Answers[1].Err = broken }, "dns", Problem, "no route"},
		"DNS does not know":          {func(f *Facts) { f.Answers[1].Err = discovery.ErrNotFound }, "dns", Warning, "does not know our id"},
		"DNS is refused": {func(f *Facts) {
			f.Answers[1].Err = fmt.Errorf("dns: %w", &net.DNSError{Name: "_iroh.x.example.", Server: "192.0.2.53:53", Err: "read udp 192.0.2.1:1->192.0.2.53:53: read: connection refused"})
		}, "dns", Problem, "the name server 192.0.2.53:53 cannot be asked: connection refused."},
		"DNS is silent": {func(f *Facts) { f.Answers[1].Err = &net.DNSError{Server: "192.0.2.53:53", IsTimeout: true} }, "dns", Problem, "no answer from the name server 192.0.2.53:53."},
		"pkarr's name is wrong": {func(f *Facts) {
			f.Answers[2].Err = &url.Error{Op: "Get", URL: "https://dns.example/pkarr/long", Err: &net.DNSError{Name: "dns.example", Server: "192.0.2.53:53", IsNotFound: true}}
		}, "pkarr", Problem, "does not work: the name dns.example does not exist"},
		"pkarr is refused": {func(f *Facts) {
			op := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:80")), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			f.Answers[2].Err = fmt.Errorf("discovery: %w", &url.Error{Op: "Get", URL: "http://192.0.2.7/pkarr/long", Err: op})
		}, "pkarr", Problem, "does not work: 192.0.2.7:80: connection refused."},
		"nothing to know":          {func(f *Facts) { f.Answers[1].Err, f.Published = discovery.ErrNotFound, nil }, "dns", OK, "nothing is published"},
		"no discovery":             {func(f *Facts) { f.Answers = nil }, "dns", Info, "must have addresses"},
		"publishing fails":         {func(f *Facts) { f.Published[0].Err = broken }, "publishing", Problem, "no route"},
		"not published yet":        {func(f *Facts) { f.Published[0].Published = time.Time{} }, "publishing", Info, "yet"},
		"nothing is published":     {func(f *Facts) { f.Published = nil }, "publishing", Info, "does not find us"},
		"only a relay, and none":   {func(f *Facts) { f.Report.Addr.Relays = nil }, "publishing", Warning, "there is none"},
		"no address":               {func(f *Facts) { f.Report.Addr.Direct = nil }, "endpoint", Warning, "no address of its own"},
		"no daemon":                {func(f *Facts) { f.Daemon = false }, "endpoint", OK, "No daemon runs"},
		"tickets without a daemon": {func(f *Facts) { f.Daemon = false }, "endpoint", OK, "has our endpoint id alone."},
		"tickets of a daemon":      {func(*Facts) {}, "endpoint", OK, "Tickets name 192.0.2.1:4022."},
		"libp2p is hidden":         {func(f *Facts) { f.Libp2p.Reachability = "private" }, "libp2p", Warning, "cannot be reached"},
		"libp2p does not know":     {func(f *Facts) { f.Libp2p.Reachability = "unknown" }, "libp2p", Info, "does not know"},
		"no DHT":                   {func(f *Facts) { f.Libp2p.DHT = false }, "libp2p", Info, "no DHT"},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			tc.change(&f)
			d := Diagnose(f)
			found := slices.ContainsFunc(d.Checks, func(c Check) bool {
				return c.Name == tc.check && c.State == tc.state && strings.Contains(c.Text, tc.words)
			})
			if !found {
				t.Errorf("no %s of %s with %q: %+v", tc.state, tc.check, tc.words, d.Checks)
			}
			if (tc.state == Problem) != (d.Problems > 0) {
				t.Errorf("%d problems", d.Problems)
			}
		})
	}
}
