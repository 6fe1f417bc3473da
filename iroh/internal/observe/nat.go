package observe

import (
	"net/netip"
	"slices"
)

// NAT is a kind of address translation, see the package comment.
type NAT string

// Kinds of NAT.
const (
	Unknown             NAT = "unknown"
	None                NAT = "none"
	EndpointIndependent NAT = "endpoint-independent"
	EndpointDependent   NAT = "endpoint-dependent"
)

// kind judges what servers saw: a server counts once.
func kind(sights []Sight, local []netip.AddrPort) NAT {
	byServer := map[netip.AddrPort]netip.AddrPort{}
	for _, s := range sights {
		if s.Err == nil && s.Addr.IsValid() {
			byServer[s.Server] = s.Addr
		}
	}
	var first netip.AddrPort
	result := Unknown
	for _, addr := range byServer {
		switch {
		case slices.Contains(local, addr):
			return None
		case !first.IsValid():
			first = addr
		case addr != first:
			result = EndpointDependent
		case result == Unknown:
			result = EndpointIndependent
		}
	}
	return result
}
