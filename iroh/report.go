package iroh

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/observe"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// NAT is how a translator of addresses between the endpoint and the internet goes about it, as far as one can tell from
// outside (RFC 4787, section 4.1).
type NAT = observe.NAT

// Kinds of NAT.
const (
	// NATUnknown: fewer than two relays have told what they see.
	NATUnknown = observe.Unknown
	// NATNone: what they see is an address of this machine.
	NATNone = observe.None
	// NATEndpointIndependent: all see the same address, under which others reach us if the NAT or a firewall lets them.
	NATEndpointIndependent = observe.EndpointIndependent
	// NATEndpointDependent: each sees another address, so that nobody can be told where we are.
	NATEndpointDependent = observe.EndpointDependent
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
	By         string         // how it was measured: "quic" (address discovery), "http" (/ping) or "relay" (its connection)
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
	if e.relays != nil && e.begin() {
		e.reportRelays(ctx, &r)
		e.wg.Done()
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

// reportRelays asks all relays of the configuration, and adds those that peers have.
func (e *Endpoint) reportRelays(ctx context.Context, r *Report) {
	states := map[string]RelayState{}
	seen := e.observer.Round(ctx, true)
	for _, s := range e.RelayStates() {
		states[s.URL] = s
	}
	var closest time.Duration
	for i := range seen {
		s := &seen[i]
		one := relayReport(s, states[s.URL.String()])
		delete(states, one.URL)
		r.Relays = append(r.Relays, one)
		r.IPv4.add(one.IPv4)
		r.IPv6.add(one.IPv6)
		if l := s.Ping; l.Err == nil && !l.Date.IsZero() && (r.Clock == nil || l.Value < closest) {
			closest, r.Clock = l.Value, &ClockReport{Relay: one.URL, Offset: l.At.Sub(l.Date) - time.Second/2}
		}
	}
	for _, s := range e.RelayStates() {
		if _, peers := states[s.URL]; peers {
			r.Relays = append(r.Relays, relayReport(&observe.Seen{}, s))
		}
	}
	r.NAT = e.observer.NAT()
}

func relayReport(seen *observe.Seen, state RelayState) RelayReport {
	r := RelayReport{URL: state.URL, Home: state.Home, Connected: state.Connected, Latency: seen.Latency(), By: "http"}
	if r.URL == "" {
		r.URL = seen.URL.String()
	}
	var failed []error
	for _, one := range []struct {
		sight observe.Sight
		addr  *netip.AddrPort
	}{{seen.V4, &r.IPv4}, {seen.V6, &r.IPv6}} {
		switch {
		case !one.sight.Asked():
		case one.sight.Err == nil:
			*one.addr, r.By = one.sight.Addr, "quic"
		case !errors.Is(one.sight.Err, observe.ErrFamily):
			failed = append(failed, one.sight.Err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		r.QUICErr = observe.Words(err)
	}
	if r.Latency == 0 {
		r.Latency, r.By = state.Latency, "relay"
	}
	if r.Latency == 0 {
		r.By = ""
	}
	switch {
	case state.Problem != "":
		r.Err = "the relay says: " + state.Problem
	case state.Connected:
	case state.Err != nil:
		r.Err = observe.Words(state.Err)
	case seen.Ping.Err != nil:
		r.Err = observe.Words(seen.Ping.Err)
	}
	return r
}

// add takes an address over that a relay sees.
func (f *Family) add(a netip.AddrPort) {
	if a.IsValid() && !slices.Contains(f.Observed, a) {
		f.Observed = append(f.Observed, a)
	}
}
