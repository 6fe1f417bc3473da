// Package doctor says in plain words how a bridge stands in its networks, and what to do about what does not work.
//
// It is pure: [Diagnose] turns [Facts], which package bridge gathers, into a [Diagnosis]. Times are milliseconds where a name
// says so. Nothing in a diagnosis is secret, but it has the machine's addresses.
//
// # Trust
//
// What relays and gateways say may be wrong; a diagnosis says who said it. Their texts are passed on, and are for a terminal only
// after control characters are taken out.
package doctor

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/portmap"
)

// Facts are what was found out.
type Facts struct {
	Local      bool   // no public services
	Daemon     bool   // the bridge stays; otherwise it was made for these facts, and publishes and maps nothing
	Publish    string // what is published, see config.Discovery
	Report     iroh.Report
	Mapping    *portmap.Status        // nil when no mapping is wanted
	Answers    []discovery.Answer     // what each source says of our own id
	Published  []discovery.SinkStatus // empty when nothing is published
	Neighbours *int                   // endpoints that mDNS has shown; nil without mDNS
	Libp2p     Libp2p
}

// Libp2p is how the IPFS node stands.
type Libp2p struct {
	PeerID       string   `json:"peerId"`
	Addrs        []string `json:"addrs" doc:"full multiaddrs"`
	Connections  int      `json:"connections"`
	DHT          bool     `json:"dht" doc:"there is a DHT to find content by"`
	Reachability string   `json:"reachability" enum:"public,private,unknown" doc:"what AutoNAT has found out"`
}

// State is how good a finding is.
type State string

// The states.
const (
	OK      State = "ok"
	Info    State = "info"    // as it was configured, or no matter
	Warning State = "warning" // something works worse than it could
	Problem State = "problem" // something does not work
)

// Check is one finding.
type Check struct {
	Name   string `json:"name" doc:"what was looked at: endpoint, relay, address, nat, port-mapping, clock, dns, pkarr, mdns, publishing, libp2p"`
	State  State  `json:"state" enum:"ok,info,warning,problem"`
	Text   string `json:"text" doc:"what was found, a plain sentence"`
	Advice string `json:"advice,omitempty" doc:"what to do about it"`
}

// Relay is how one relay does.
type Relay struct {
	URL           string  `json:"url"`
	Home          bool    `json:"home"`
	Connected     bool    `json:"connected"`
	LatencyMillis float64 `json:"latencyMillis" doc:"there and back; 0 when it is not known"`
	By            string  `json:"by,omitempty" enum:"quic,http" doc:"how that was measured"`
	SeenIPv4      string  `json:"seenIpv4,omitempty" doc:"where the relay sees the endpoint"`
	SeenIPv6      string  `json:"seenIpv6,omitempty"`
	Error         string  `json:"error,omitempty"`
}

// Source is how one way of finding endpoints does.
type Source struct {
	Name       string  `json:"name" enum:"dns,pkarr,mdns"`
	Works      bool    `json:"works" doc:"it answers"`
	Found      bool    `json:"found" doc:"it knows our own id"`
	TookMillis float64 `json:"tookMillis"`
	Error      string  `json:"error,omitempty"`
}

// Diagnosis is everything, in words and in numbers.
type Diagnosis struct {
	EndpointID  string   `json:"endpointId"`
	Daemon      bool     `json:"daemon" doc:"it is that of a running daemon"`
	HomeRelay   string   `json:"homeRelay,omitempty"`
	Addrs       []string `json:"addrs" doc:"addresses of the endpoint, ip:port; a daemon's tickets name them"`
	Relays      []Relay  `json:"relays"`
	SeenIPv4    []string `json:"seenIpv4" doc:"where relays see the endpoint"`
	SeenIPv6    []string `json:"seenIpv6"`
	NAT         string   `json:"nat" enum:"none,endpoint-independent,endpoint-dependent,unknown"`
	Mapped      string   `json:"mapped,omitempty" doc:"address that the gateway has mapped to the endpoint's port"`
	ClockMillis *float64 `json:"clockMillis,omitempty" doc:"by how much this machine's clock is ahead of a relay's, to a second or so"`
	Sources     []Source `json:"sources"`
	Libp2p      Libp2p   `json:"libp2p"`
	Checks      []Check  `json:"checks"`
	Problems    int      `json:"problems" doc:"checks that found a problem"`
}

// Diagnose says what the facts mean.
func Diagnose(f Facts) Diagnosis {
	r := f.Report
	d := Diagnosis{
		EndpointID: r.Addr.ID.String(), Daemon: f.Daemon, Addrs: texts(r.Addr.Direct), Relays: []Relay{}, Sources: []Source{},
		SeenIPv4: texts(r.IPv4.Observed), SeenIPv6: texts(r.IPv6.Observed), NAT: string(r.NAT), Libp2p: f.Libp2p,
	}
	if f.Local {
		d.Libp2p.Reachability = "unknown" // a local host takes itself for public, and asks nobody
	}
	if len(r.Addr.Relays) > 0 {
		d.HomeRelay = r.Addr.Relays[0]
	}
	d.endpoint(f)
	d.relays(f)
	d.addresses(f)
	d.nat(f)
	d.mapping(f)
	d.clock(f)
	d.sources(f)
	d.publishing(f)
	d.libp2p(f)
	for _, c := range d.Checks {
		if c.State == Problem {
			d.Problems++
		}
	}
	return d
}

// say adds a finding.
func (d *Diagnosis) say(name string, state State, text, advice string) {
	d.Checks = append(d.Checks, Check{Name: name, State: state, Text: text, Advice: advice})
}

func texts[T interface{ String() string }](list []T) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
