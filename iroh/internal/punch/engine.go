package punch

import (
	"crypto/tls"
	"net/netip"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

// wrapped is an engine whose connections are changed.
type wrapped struct {
	rpktls.Engine
	change func(rpktls.QUICConn) rpktls.QUICConn
}

func (w wrapped) QUICConn(isClient bool, config *tls.QUICConfig) rpktls.QUICConn {
	return w.change(w.Engine.QUICConn(isClient, config))
}

func wrap(config *tls.Config, change func(rpktls.QUICConn) rpktls.QUICConn) *tls.Config {
	inner, ok := config.Rand.(rpktls.Engine)
	if !ok {
		return config // none of rpktls: nothing to change
	}
	clone := config.Clone()
	clone.Rand = wrapped{inner, change}
	return clone
}

// Offer makes a client, whose configuration is from rpktls, say where others see it.
func Offer(config *tls.Config, addrs []netip.AddrPort) *tls.Config {
	addrs = slices.Clone(addrs)
	return wrap(config, func(c rpktls.QUICConn) rpktls.QUICConn { return &client{c, addrs} })
}

type client struct {
	rpktls.QUICConn
	addrs []netip.AddrPort
}

func (c *client) SetTransportParameters(params []byte) {
	c.QUICConn.SetTransportParameters(appendParam(slices.Clip(params), c.addrs))
}

// Hear makes a server, whose configuration is from rpktls, call heard when a handshake is complete whose client has said where
// others see it. It must not wait.
func Hear(config *tls.Config, heard func(peer key.EndpointID, addrs []netip.AddrPort)) *tls.Config {
	return wrap(config, func(c rpktls.QUICConn) rpktls.QUICConn { return &server{QUICConn: c, heard: heard} })
}

// server is used by one goroutine at a time, as quic-go does.
type server struct {
	rpktls.QUICConn
	addrs []netip.AddrPort
	heard func(key.EndpointID, []netip.AddrPort)
}

func (s *server) NextEvent() tls.QUICEvent {
	e := s.QUICConn.NextEvent()
	switch e.Kind {
	case tls.QUICTransportParameters:
		s.addrs = slices.DeleteFunc(parse(e.Data), inside)
	case tls.QUICHandshakeDone:
		if id, err := rpktls.PeerID(s.QUICConn.ConnectionState()); err == nil && len(s.addrs) > 0 {
			s.heard(id, s.addrs)
		}
	}
	return e
}

// insides are the ranges (RFC 6890 and others) that lead nowhere on the internet and somewhere inside of networks, besides those that
// net/netip knows. Against strangers who have us send into networks of ours.
var insides = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT, and networks laid over others
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // IPv4 addresses of any kind, by a translator
	netip.MustParsePrefix("fec0::/10"),
}

// inside reports whether a is no address of the internet.
func inside(a netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	return a.Port() == 0 || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		slices.ContainsFunc(insides, func(p netip.Prefix) bool { return p.Contains(ip) })
}
