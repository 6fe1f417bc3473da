package mdns

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// port is that of multicast DNS.
const port = 5353

// The groups of multicast DNS (RFC 6762).
func group4() net.IP { return net.IPv4(224, 0, 0, 251) }
func group6() net.IP { return net.ParseIP("ff02::fb") }

// A socket is a member of one multicast group on many interfaces. Write and join are called by one goroutine, read by
// another.
type socket interface {
	// read reads the next datagram that was sent to the group.
	read(b []byte) (int, error)
	// write sends a datagram to the group on every interface; the error is that of the last one that failed.
	write(b []byte) error
	// join joins the group on interfaces that are new.
	join()
	close() error
}

// open joins the groups of IPv4 and IPv6 where there are any.
func open(fixed []net.Interface) ([]socket, error) {
	four, err4 := open4(fixed)
	six, err6 := open6(fixed)
	var sockets []socket
	if err4 == nil {
		sockets = append(sockets, four)
	}
	if err6 == nil {
		sockets = append(sockets, six)
	}
	if len(sockets) == 0 {
		return nil, fmt.Errorf("mdns: no network can multicast: %w", errors.Join(err4, err6))
	}
	return sockets, nil
}

// interfaces returns the networks to use now.
func interfaces(fixed []net.Interface) []net.Interface {
	if len(fixed) > 0 {
		return fixed
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			out = append(out, i)
		}
	}
	return out
}

// ours reports whether a datagram was sent to the group on a network of ours. A socket also gets what came by unicast,
// and on Linux what came for groups that other programs have joined. Where the system does not say it is taken.
func ours(fixed []net.Interface, dst net.IP, index int) bool {
	on := func(i net.Interface) bool { return i.Index == index }
	return (dst == nil || dst.IsMulticast()) && (len(fixed) == 0 || index == 0 || slices.ContainsFunc(fixed, on))
}

// first returns the network that the group is joined on when the socket is made. Where there is none yet the loopback
// does; the others are joined when they come up.
func first(fixed []net.Interface) (*net.Interface, error) {
	if list := interfaces(fixed); len(list) > 0 {
		return &list[0], nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return &i, nil
		}
	}
	return nil, errors.New("mdns: there is no network interface")
}

// socket4 is a socket of IPv4.
type socket4 struct {
	fixed []net.Interface
	conn  *net.UDPConn
	pc    *ipv4.PacketConn
}

// open4 makes a socket that shares its port with other multicast DNS programs of this machine.
func open4(fixed []net.Interface) (*socket4, error) {
	at, err := first(fixed)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenMulticastUDP("udp4", at, &net.UDPAddr{IP: group4(), Port: port})
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	s := &socket4{fixed, conn, ipv4.NewPacketConn(conn)}
	// Endpoints of the same machine want to hear each other. Where the destination cannot be told, all is taken.
	if err := errors.Join(s.pc.SetMulticastLoopback(true), s.pc.SetMulticastTTL(255)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("mdns: %w", err)
	}
	_ = s.pc.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	s.join()
	return s, nil
}

func (s *socket4) read(b []byte) (int, error) {
	for {
		n, control, _, err := s.pc.ReadFrom(b)
		if err != nil || control == nil || ours(s.fixed, control.Dst, control.IfIndex) {
			return n, err
		}
	}
}

func (s *socket4) write(b []byte) (last error) {
	for _, i := range interfaces(s.fixed) {
		err := s.pc.SetMulticastInterface(&i)
		if err == nil {
			_, err = s.pc.WriteTo(b, nil, &net.UDPAddr{IP: group4(), Port: port})
		}
		if err != nil {
			last = fmt.Errorf("mdns: %s: %w", i.Name, err)
		}
	}
	return last
}

// join fails on interfaces that are joined already or have no IPv4, which is no harm.
func (s *socket4) join() {
	for _, i := range interfaces(s.fixed) {
		_ = s.pc.JoinGroup(&i, &net.UDPAddr{IP: group4()})
	}
}

func (s *socket4) close() error { return s.conn.Close() }

// socket6 is a socket of IPv6.
type socket6 struct {
	fixed []net.Interface
	conn  *net.UDPConn
	pc    *ipv6.PacketConn
}

// open6 is open4 for IPv6.
func open6(fixed []net.Interface) (*socket6, error) {
	at, err := first(fixed)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenMulticastUDP("udp6", at, &net.UDPAddr{IP: group6(), Port: port})
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	s := &socket6{fixed, conn, ipv6.NewPacketConn(conn)}
	if err := errors.Join(s.pc.SetMulticastLoopback(true), s.pc.SetMulticastHopLimit(255)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("mdns: %w", err)
	}
	_ = s.pc.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	s.join()
	return s, nil
}

func (s *socket6) read(b []byte) (int, error) {
	for {
		n, control, _, err := s.pc.ReadFrom(b)
		if err != nil || control == nil || ours(s.fixed, control.Dst, control.IfIndex) {
			return n, err
		}
	}
}

func (s *socket6) write(b []byte) (last error) {
	for _, i := range interfaces(s.fixed) {
		err := s.pc.SetMulticastInterface(&i)
		if err == nil {
			_, err = s.pc.WriteTo(b, nil, &net.UDPAddr{IP: group6(), Port: port, Zone: i.Name})
		}
		if err != nil {
			last = fmt.Errorf("mdns: %s: %w", i.Name, err)
		}
	}
	return last
}

func (s *socket6) join() {
	for _, i := range interfaces(s.fixed) {
		_ = s.pc.JoinGroup(&i, &net.UDPAddr{IP: group6()})
	}
}

func (s *socket6) close() error { return s.conn.Close() }
