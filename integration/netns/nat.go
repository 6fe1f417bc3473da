package netns

import (
	"context"
	"fmt"
	"net/netip"
)

// NAT is how a router chooses the outer port of what it translates.
type NAT string

const (
	// EndpointIndependent keeps the inner port where it can, so that every peer sees the same outer address (RFC 4787,
	// section 4.1). What comes from outside is let in only from where something was sent to.
	EndpointIndependent NAT = "masquerade"

	// EndpointDependent takes a random port for each peer, so that what one peer sees is of no use to another.
	EndpointDependent NAT = "masquerade fully-random"
)

// rules are a home router's: everything that leaves by the outer interface gets its address, and what comes in there is
// an answer or a port forwarding, or is dropped. It is dropped without a word, also what is meant for the router
// itself: an answer of the router's would tell a peer that punches a hole that there is none.
const rules = `
table %[3]s lab {
	chain translate {
		type nat hook postrouting priority srcnat
		oifname "%[1]s" %[2]s
	}
	chain forward {
		type filter hook forward priority filter
		iifname "%[1]s" ct status dnat accept
		iifname "%[1]s" ct state new,invalid drop
	}
	chain input {
		type filter hook input priority filter
		iifname "%[1]s" ct state new,invalid drop
	}
}
`

// Masquerade makes the host a router: it forwards packets, and hides what is behind it where they leave by an interface. It does so for
// IPv6 if its first address is of that: few routers do, but for those who are behind one it is like a firewall and worse.
func (h *Host) Masquerade(ctx context.Context, outside string, kind NAT) error {
	family, forwarding := "ip", "net/ipv4/ip_forward"
	if len(h.Addrs) > 0 && h.Addrs[0].Is6() {
		family, forwarding = "ip6", "net/ipv6/conf/all/forwarding"
	}
	if err := h.set(forwarding, "1"); err != nil {
		return fmt.Errorf("netns: %w", err)
	}
	return h.Nft(ctx, fmt.Sprintf(rules, outside, kind, family))
}

// Nft loads a ruleset of nftables on the host.
func (h *Host) Nft(ctx context.Context, ruleset string) error {
	path, args := Command(h.Namespace, program("nft"), []string{"-f", "-"})
	return run(ctx, ruleset, path, args...)
}

// Forward hands what arrives from outside at a UDP port on to a host behind the router.
func (h *Host) Forward(ctx context.Context, outside string, port uint16, to netip.AddrPort) error {
	family := "ip"
	if to.Addr().Is6() {
		family = "ip6"
	}
	return h.Nft(ctx, fmt.Sprintf(`
table %s forwarded {
	chain in {
		type nat hook prerouting priority dstnat
		iifname "%s" udp dport %d dnat to %s
	}
}
`, family, outside, port, to))
}

// Renumber gives an interface another address, as a provider does every night. The kernel then forgets, in its own
// time, everything that was translated to the old one; whoever is behind the router is not told.
func (h *Host) Renumber(ctx context.Context, name string, from, to netip.Prefix) error {
	return h.ip(ctx,
		fmt.Sprintf("address delete %s dev %s", from, name),
		fmt.Sprintf("address add %s dev %s", to, name))
}
