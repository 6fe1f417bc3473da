package relay

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// DefaultQADPort is the UDP port on which relays do QUIC address discovery unless they say otherwise.
const DefaultQADPort = 7842

// Node is a relay, and where it tells others the address that it sees them at.
type Node struct {
	URL URL

	// QADPort is the UDP port of its QUIC address discovery. Zero is DefaultQADPort for https:// and none for http://, for
	// which a relay has no certificate; -1 is none.
	QADPort int
}

// QAD is the UDP port of the relay's address discovery, and zero if it has none.
func (n Node) QAD() uint16 {
	switch {
	case n.QADPort > 0 && n.QADPort < 1<<16:
		return uint16(n.QADPort)
	case n.QADPort == 0 && strings.HasPrefix(n.URL.text, "https:"):
		return DefaultQADPort
	}
	return 0
}

// String is the text that ParseNode reads.
func (n Node) String() string {
	switch {
	case n.QADPort < 0:
		return n.URL.String() + " qad=off"
	case n.QADPort > 0:
		return n.URL.String() + " qad=" + strconv.Itoa(n.QADPort)
	}
	return n.URL.String()
}

// ParseNode reads the URL of a relay, which "qad=PORT" or "qad=off" may follow after a space.
func ParseNode(s string) (Node, error) {
	text, port, more := strings.Cut(s, " ")
	u, err := ParseURL(text)
	if err != nil || !more {
		return Node{URL: u}, err
	}
	port, ok := strings.CutPrefix(strings.TrimSpace(port), "qad=")
	if ok && port == "off" {
		return Node{URL: u, QADPort: -1}, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || n == 0 {
		return Node{}, fmt.Errorf("relay: %w: after %s there may be qad=PORT or qad=off, not %q", ErrURL, u, port)
	}
	return Node{URL: u, QADPort: int(n)}, nil
}

// Map is a list of relays to choose a home from.
type Map []Node

// ParseMap reads a list of relays as ParseNode does, and leaves out those that were there before.
func ParseMap(nodes ...string) (Map, error) {
	var m Map
	seen := map[URL]bool{}
	for _, s := range nodes {
		n, err := ParseNode(s)
		if err != nil {
			return nil, err
		}
		if !seen[n.URL] {
			seen[n.URL] = true
			m = append(m, n)
		}
	}
	return m, nil
}

// Has reports whether the relay of that URL is in the map.
func (m Map) Has(u URL) bool {
	return slices.ContainsFunc(m, func(n Node) bool { return n.URL == u })
}

// Public returns the public relays that n0 runs for everybody, those that iroh 1.4.1 has by default: in North America (east
// and west), Europe and Asia. They limit how much one endpoint sends.
func Public() Map {
	return Map{
		{URL: URL{"https://use1-1.relay.n0.iroh.link./"}},
		{URL: URL{"https://usw1-1.relay.n0.iroh.link./"}},
		{URL: URL{"https://euc1-1.relay.n0.iroh.link./"}},
		{URL: URL{"https://aps1-1.relay.n0.iroh.link./"}},
	}
}

// Host is the name or address of the relay, without a dot at its end, as its certificate has it.
func (u URL) Host() string {
	p, err := url.Parse(u.text)
	if err != nil {
		return "" // no ParseURL made u
	}
	return strings.TrimSuffix(p.Hostname(), ".")
}

// IP is the host if that is an IP address, and not valid otherwise.
func (u URL) IP() netip.Addr {
	ip, err := netip.ParseAddr(u.Host())
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}
