package iroh

import (
	"context"
	"net/netip"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// NAT is how a translator of addresses between the endpoint and the internet goes about it, as far as one can tell from
// outside (RFC 4787, section 4.1).
type NAT string

// Kinds of NAT.
const (
	// NATUnknown: fewer than two relays have told what they see.
	NATUnknown NAT = "unknown"
	// NATNone: what they see is an address of this machine.
	NATNone NAT = "none"
	// NATEndpointIndependent: all see the same address, under which others reach us if the NAT or a firewall lets them.
	NATEndpointIndependent NAT = "endpoint-independent"
	// NATEndpointDependent: each sees another address, so that nobody can be told where we are.
	NATEndpointDependent NAT = "endpoint-dependent"
)

// Report is what an endpoint knows of its place in the network.
type Report struct {
	Addr       ticket.EndpointAddr // what others are told, see Endpoint.Addr
	Listen     netip.AddrPort      // of the socket; may be a wildcard
	Local      []netip.AddrPort    // see Endpoint.LocalAddrs
	Relays     []RelayReport       // those that are configured in their order, then others that are in use
	NAT        NAT                 // of IPv4
	IPv4, IPv6 Family
	Mapping    *MappingReport // nil without a port mapper
	Clock      *ClockReport   // nil if no relay told the time
}

// RelayReport is how the endpoint does at one relay, and what that one says of the endpoint.
type RelayReport struct {
	URL        string
	Home       bool
	Connected  bool
	Latency    time.Duration  // there and back; zero if it is not known
	By         string         // how it was measured: "quic" (address discovery) or "http" (/ping)
	IPv4, IPv6 netip.AddrPort // where the relay sees the endpoint; zero if it does not or has no address discovery
	Err        string         // why the relay cannot be used, in words; empty if it can
	QUICErr    string         // why its address discovery told nothing, in words; empty if it did or there is none
}

// Family is what works with one version of IP.
type Family struct {
	Socket   bool             // the endpoint's socket speaks it
	Local    bool             // the machine has an address of it that others could know: not loopback, not link-local
	Observed []netip.AddrPort // where relays see the endpoint, without repetitions; if there is any, the version works
}

// MappingReport is how the mapping of the endpoint's port at the gateway does.
type MappingReport struct {
	External netip.AddrPort // zero while there is none
}

// ClockReport compares the machine's clock with a relay's.
type ClockReport struct {
	Relay  string        // URL of the relay that was closest
	Offset time.Duration // by how much our clock is ahead, to a second or so
}

// Report finds out what works: it asks all relays once more and tells what the endpoint knows besides. It takes a few seconds
// at most; when ctx is done earlier, what is not known by then is left out.
func (e *Endpoint) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	r := Report{Listen: e.socket.local, NAT: NATUnknown}
	r.IPv4.Socket, r.IPv6.Socket = e.socket.v4, e.socket.v6
	if e.relays != nil {
		e.reportRelays(ctx, &r)
	}
	if m := e.cfg.PortMapper; m != nil {
		r.Mapping = &MappingReport{External: m.External()}
	}
	r.Addr, r.Local = e.Addr(), e.LocalAddrs()
	for _, ip := range interfaceAddrs() {
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			r.IPv4.Local = r.IPv4.Local || ip.Is4()
			r.IPv6.Local = r.IPv6.Local || ip.Is6()
		}
	}
	return r
}

func (e *Endpoint) reportRelays(ctx context.Context, r *Report) {
	states := map[string]RelayState{}
	for _, s := range e.RelayStates() {
		states[s.URL] = s
	}
	all := e.cfg.Relays
	for _, s := range states {
		if u, err := relay.ParseURL(s.URL); err == nil && !all.Has(u) {
			all = append(all[:len(all):len(all)], relay.Node{URL: u})
		}
	}
	for _, l := range relay.Probe(ctx, all, relay.ProbeConfig{Roots: e.cfg.RelayRoots}) {
		s := states[l.URL.String()]
		one := RelayReport{URL: l.URL.String(), Home: s.Home, Connected: s.Connected}
		switch {
		case l.Err == nil:
			one.Latency, one.By = l.Value, "http"
		case !s.Connected:
			one.Err = l.Err.Error()
		}
		if s.Problem != "" {
			one.Err = "the relay says: " + s.Problem
		}
		r.Relays = append(r.Relays, one)
	}
}
