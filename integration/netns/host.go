package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Host is a machine of a lab: a namespace with a loopback interface, and an interface for each segment that it joins.
type Host struct {
	Namespace string       // its name, for ip netns exec
	Addrs     []netip.Addr // one for each segment, in the order of [Host.Join]
}

// Host adds a machine.
func (l *Lab) Host(ctx context.Context, name string) (*Host, error) {
	h := &Host{Namespace: prefix + l.name + "-" + name}
	if err := run(ctx, "", "ip", "netns", "add", h.Namespace); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.spaces = append(l.spaces, h.Namespace)
	l.mu.Unlock()
	// IPv6 is for interfaces with an address of it, and nothing waits for addresses to be found unique.
	for name, value := range map[string]string{"disable_ipv6": "1", "accept_dad": "0"} {
		if err := h.set("net/ipv6/conf/default/"+name, value); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("netns: %w", err)
		}
	}
	return h, h.ip(ctx, "link set lo up")
}

// Segment is a piece of wire: a switch in a namespace of its own, which has the segment's first address as well and forwards
// nothing. Hosts may have it as their gateway where they need one to believe that they have a network.
type Segment struct {
	host   *Host
	prefix netip.Prefix
	ports  int
}

// Segment adds a segment with the addresses of a prefix.
func (l *Lab) Segment(ctx context.Context, name string, prefix netip.Prefix) (*Segment, error) {
	h, err := l.Host(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &Segment{host: h, prefix: prefix.Masked()}
	if err := h.ip(ctx, "link add switch type bridge mcast_snooping 0"); err != nil {
		return nil, err
	}
	return s, h.address(ctx, "switch", netip.PrefixFrom(s.Gateway(), prefix.Bits()))
}

// Gateway is the segment's first address, where a packet to elsewhere ends.
func (s *Segment) Gateway() netip.Addr { return s.prefix.Addr().Next() }

// Join plugs the host into a segment, under an address of it, with a default route to via unless that is invalid. It returns the
// name of the host's new interface.
func (h *Host) Join(ctx context.Context, s *Segment, addr, via netip.Addr) (string, error) {
	name, port := fmt.Sprintf("eth%d", len(h.Addrs)), fmt.Sprintf("port%d", s.ports)
	s.ports++
	err := s.host.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name %s netns %s", port, name, h.Namespace),
		fmt.Sprintf("link set %s master switch up", port))
	if err != nil {
		return "", err
	}
	h.Addrs = append(h.Addrs, addr)
	err = h.address(ctx, name, netip.PrefixFrom(addr, s.prefix.Bits()))
	if err != nil || !via.IsValid() {
		return name, err
	}
	everything := netip.PrefixFrom(via, 0).Masked()
	return name, h.ip(ctx, fmt.Sprintf("route add %s via %s", everything, via))
}

// address gives an interface of the host an address, and switches it on.
func (h *Host) address(ctx context.Context, name string, addr netip.Prefix) error {
	command := fmt.Sprintf("address add %s dev %s", addr, name)
	if addr.Addr().Is6() {
		if err := h.set("net/ipv6/conf/"+name+"/disable_ipv6", "0"); err != nil {
			return fmt.Errorf("%w: no IPv6: %w", ErrUnsupported, err)
		}
		command += " nodad"
	}
	return h.ip(ctx, command, fmt.Sprintf("link set %s up", name))
}

// ip runs commands of the program ip on the host, in order, until one fails.
func (h *Host) ip(ctx context.Context, commands ...string) error {
	var batch string
	for _, command := range commands {
		batch += command + "\n"
	}
	return run(ctx, batch, "ip", "-n", h.Namespace, "-batch", "-")
}

// set sets one of the kernel's settings on the host; name is a path below /proc/sys.
func (h *Host) set(name, value string) error {
	return Do(h.Namespace, func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) })
}

// DialContext is [net.Dialer.DialContext] from the host, to an address that is IP:port.
func (h *Host) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = Do(h.Namespace, func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// ListenUDP is [net.ListenUDP] on the host. The socket stays the host's, whoever uses it.
func (h *Host) ListenUDP(addr netip.AddrPort) (conn *net.UDPConn, err error) {
	err = Do(h.Namespace, func() error {
		conn, err = net.ListenUDP(network(addr), net.UDPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

// DialUDP is [net.DialUDP] from the host.
func (h *Host) DialUDP(addr netip.AddrPort) (conn *net.UDPConn, err error) {
	err = Do(h.Namespace, func() error {
		conn, err = net.DialUDP(network(addr), nil, net.UDPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

// network is that of an address alone: [::] is not 0.0.0.0 as well.
func network(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}
