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

// Offer makes a client, whose configuration is from rpktls, say that it comes through a relay and where others see it. When a handshake
// is complete whose server has answered with its own addresses, told is called with them, unless it is nil. It must not wait.
func Offer(config *tls.Config, addrs []netip.AddrPort, told func([]netip.AddrPort)) *tls.Config {
	addrs = slices.Clone(addrs)
	return wrap(config, func(c rpktls.QUICConn) rpktls.QUICConn { return &client{QUICConn: c, addrs: addrs, told: told} })
}

// client is used by one goroutine at a time, as quic-go does.
type client struct {
	rpktls.QUICConn
	addrs   []netip.AddrPort
	servers []netip.AddrPort
	told    func([]netip.AddrPort)
}

func (c *client) SetTransportParameters(params []byte) {
	c.QUICConn.SetTransportParameters(appendParam(slices.Clip(params), c.addrs, maxAddrs))
}

func (c *client) NextEvent() tls.QUICEvent {
	e := c.QUICConn.NextEvent()
	switch e.Kind {
	case tls.QUICTransportParameters:
		c.servers, _ = parse(e.Data, maxTold)
	case tls.QUICHandshakeDone:
		if len(c.servers) > 0 && c.told != nil {
			c.told(c.servers)
		}
	}
	return e
}

// Server says what a server does for clients that come through a relay. Its functions must not wait.
type Server struct {
	// Heard is called when a handshake is complete whose client has said where others see it.
	Heard func(peer key.EndpointID, addrs []netip.AddrPort)
	// Where returns the server's own addresses for such a client. Nil: it is told none.
	Where func() []netip.AddrPort
}

// Hear makes a server, whose configuration is from rpktls, listen to such clients.
func Hear(config *tls.Config, with Server) *tls.Config {
	return wrap(config, func(c rpktls.QUICConn) rpktls.QUICConn { return &server{QUICConn: c, with: with} })
}

// server is used by one goroutine at a time, as quic-go does.
type server struct {
	rpktls.QUICConn
	with    Server
	offered bool // the client knows of this
	addrs   []netip.AddrPort
}

// SetTransportParameters comes after the client's parameters: quic-go's server waits until they are asked for.
func (s *server) SetTransportParameters(params []byte) {
	if s.offered && s.with.Where != nil {
		params = appendParam(slices.Clip(params), s.with.Where(), maxTold)
	}
	s.QUICConn.SetTransportParameters(params)
}

func (s *server) NextEvent() tls.QUICEvent {
	e := s.QUICConn.NextEvent()
	switch e.Kind {
	case tls.QUICTransportParameters:
		s.addrs, s.offered = parse(e.Data, maxAddrs)
		s.addrs = slices.DeleteFunc(s.addrs, inside)
	case tls.QUICHandshakeDone:
		if id, err := rpktls.PeerID(s.QUICConn.ConnectionState()); err == nil && len(s.addrs) > 0 {
			s.with.Heard(id, s.addrs)
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
