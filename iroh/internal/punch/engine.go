package punch

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

// conn is a TLS engine of rpktls, see there; engine is what makes it.
type (
	conn = interface {
		Start(ctx context.Context) error
		HandleData(level tls.QUICEncryptionLevel, data []byte) error
		NextEvent() tls.QUICEvent
		SetTransportParameters(params []byte)
		Close() error
		ConnectionState() tls.ConnectionState
		StoreSession(session *tls.SessionState) error
		SendSessionTicket(opts tls.QUICSessionTicketOptions) error
	}
	engine = interface {
		io.Reader
		QUICConn(isClient bool, config *tls.QUICConfig) conn
	}
)

// wrapped is an engine whose connections are changed.
type wrapped struct {
	engine
	change func(conn) conn
}

func (w wrapped) QUICConn(isClient bool, config *tls.QUICConfig) conn {
	return w.change(w.engine.QUICConn(isClient, config))
}

func wrap(config *tls.Config, change func(conn) conn) *tls.Config {
	inner, ok := config.Rand.(engine)
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
	return wrap(config, func(c conn) conn { return &client{c, addrs} })
}

type client struct {
	conn
	addrs []netip.AddrPort
}

func (c *client) SetTransportParameters(params []byte) {
	c.conn.SetTransportParameters(appendParam(slices.Clip(params), c.addrs))
}

// Hear makes a server, whose configuration is from rpktls, call heard when a handshake is complete whose client has said where
// others see it. It must not wait.
func Hear(config *tls.Config, heard func(peer key.EndpointID, addrs []netip.AddrPort)) *tls.Config {
	return wrap(config, func(c conn) conn { return &server{conn: c, heard: heard} })
}

// server is used by one goroutine at a time, as quic-go does.
type server struct {
	conn
	addrs []netip.AddrPort
	heard func(key.EndpointID, []netip.AddrPort)
}

func (s *server) NextEvent() tls.QUICEvent {
	e := s.conn.NextEvent()
	switch e.Kind {
	case tls.QUICTransportParameters:
		s.addrs = slices.DeleteFunc(parse(e.Data), inside)
	case tls.QUICHandshakeDone:
		if id, err := rpktls.PeerID(s.conn.ConnectionState()); err == nil && len(s.addrs) > 0 {
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
