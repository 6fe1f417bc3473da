package iroh

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Conn is a connection with another endpoint, which has proven its id. Its methods may be called from any goroutine.
//
// Errors of streams and of the methods that wait are those of quic-go: a *[quic.ApplicationError] when the connection
// was closed by either side, with the code and, from afar, the reason; a *[quic.IdleTimeoutError] when the peer vanished; a
// *[quic.StreamError] when the peer reset or stopped the stream.
type Conn struct {
	endpoint *Endpoint
	quic     *quic.Conn
	id       key.EndpointID
	alpn     string
	dialed   bool                           // by us
	since    time.Time                      // when the handshake was complete
	route    *paths.Route                   // by which it was dialed; nil if it was not, or directly
	direct   atomic.Pointer[netip.AddrPort] // where it has moved since
}

// Path says which way the packets of a connection go.
type Path struct {
	Relay string         // URL of the relay; empty for a direct path
	Addr  netip.AddrPort // address of the peer; zero for a relay
}

// String is the address, or the relay's URL.
func (p Path) String() string {
	if p.Relay != "" {
		return p.Relay
	}
	return p.Addr.String()
}

// RemoteID is the proven id of the peer.
func (c *Conn) RemoteID() key.EndpointID { return c.id }

// ALPN is the protocol that both sides agreed on.
func (c *Conn) ALPN() string { return c.alpn }

// Path is the path that the connection uses at the moment.
func (c *Conn) Path() Path {
	if moved := c.direct.Load(); moved != nil {
		return Path{Addr: *moved}
	}
	if c.route != nil { // quic-go's own answer stays the same, and is not safe to ask for while it moves
		return Path{Relay: c.route.Relay().String()}
	}
	remote := c.quic.RemoteAddr()
	if u := c.endpoint.socket.conn.Relay(remote); !u.IsZero() {
		return Path{Relay: u.String()}
	}
	return Path{Addr: addrPort(remote)}
}

// RemoteAddr is where the peer's packets come from at the moment; the zero value while they come through a relay.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.Path().Addr }

// RTT is the least time there and back that was measured so far.
func (c *Conn) RTT() time.Duration { return c.quic.ConnectionStats().MinRTT }

// OpenStream opens a bidirectional stream, waiting while the peer allows no more of them. The peer learns of it with the
// first byte that is written, or when it is closed.
func (c *Conn) OpenStream(ctx context.Context) (*quic.Stream, error) {
	return c.quic.OpenStreamSync(ctx)
}

// AcceptStream waits for the next bidirectional stream that the peer opens.
func (c *Conn) AcceptStream(ctx context.Context) (*quic.Stream, error) {
	return c.quic.AcceptStream(ctx)
}

// CloseWithError closes the connection and all its streams at once. The peer is told the code, below 2^62, and the
// reason. Data that was written and not yet acknowledged may be lost: let the peer close, or wait for what it answers.
func (c *Conn) CloseWithError(code uint64, reason string) error {
	return c.quic.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

// Context is done when the connection is closed; its cause is the error that closed it.
func (c *Conn) Context() context.Context { return c.quic.Context() }

// Done is closed when the connection is closed.
func (c *Conn) Done() <-chan struct{} { return c.quic.Context().Done() }

// addrPort converts an address of a UDP socket; the zero value stands for all others.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
