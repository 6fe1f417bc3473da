package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/qad"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// finished is the code with which a connection is closed that has done its work (iroh 1.4).
const finished = 1

// ErrFamily says that a relay cannot be asked over a version of IP.
var ErrFamily = errors.New("the relay has no address of this version of IP")

// A link is a connection to the address discovery of one relay.
type link struct {
	relay   relay.URL
	server  netip.AddrPort
	session *qad.Session
	conn    *quic.Conn
	unwatch func()
}

func (l *link) close() {
	l.conn.CloseWithError(finished, "finished")
	l.unwatch()
}

// seen is what the relay says at the moment.
func (l *link) seen() Sight {
	addr, _ := l.session.Seen()
	return Sight{Server: l.server, Addr: addr, RTT: l.conn.ConnectionStats().MinRTT, At: time.Now()}
}

// quicConfig has no streams, which the server does not allow either, and does not look for larger packets.
func quicConfig() *quic.Config {
	return &quic.Config{
		Versions: []quic.Version{quic.Version1}, HandshakeIdleTimeout: askTime / 2, MaxIdleTimeout: idle, KeepAlivePeriod: keepAlive,
		MaxIncomingStreams: -1, MaxIncomingUniStreams: -1, DisablePathMTUDiscovery: true,
	}
}

// connect makes a link and waits until the relay has said where it sees us.
func (o *Observer) connect(ctx context.Context, n relay.Node, v6 bool) (*link, error) {
	server, err := locate(ctx, n, v6)
	if err != nil {
		return nil, err
	}
	l := &link{relay: n.URL, server: server, session: qad.NewSession(n.URL.Host(), o.cfg.Roots)}
	l.unwatch = o.cfg.Conn.Watch(server, l.session.Inspect)
	l.conn, err = o.cfg.Transport.Dial(ctx, net.UDPAddrFromAddrPort(server), l.session.TLSConfig(), quicConfig())
	if err != nil {
		l.unwatch()
		return nil, fmt.Errorf("address discovery at %s: %w", server, err)
	}
	for {
		addr, changed := l.session.Seen()
		if addr.IsValid() {
			return l, nil
		}
		select {
		case <-changed:
			continue
		case <-l.conn.Context().Done():
			err = context.Cause(l.conn.Context())
		case <-ctx.Done():
			err = fmt.Errorf("it reports no address: %w", context.Cause(ctx))
		}
		l.close()
		return nil, fmt.Errorf("address discovery at %s: %w", server, err)
	}
}

// locate finds the address of a relay's address discovery.
func locate(ctx context.Context, n relay.Node, v6 bool) (netip.AddrPort, error) {
	if ip := n.URL.IP(); ip.IsValid() {
		if ip.Is6() != v6 {
			return netip.AddrPort{}, ErrFamily
		}
		return netip.AddrPortFrom(ip, n.QAD()), nil
	}
	network := "ip4"
	if v6 {
		network = "ip6"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, n.URL.Host())
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound || err == nil && len(ips) == 0 {
		return netip.AddrPort{}, ErrFamily
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the name of the relay: %w", err)
	}
	return netip.AddrPortFrom(ips[0].Unmap(), n.QAD()), nil
}
