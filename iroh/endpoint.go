package iroh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/admission"
	"github.com/iroh-ipfs/bridge/iroh/internal/home"
	"github.com/iroh-ipfs/bridge/iroh/internal/observe"
	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/internal/punch"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// ErrClosed is wrapped by the errors of calls on an endpoint that was closed.
var ErrClosed = errors.New("endpoint is closed")

// Endpoint is one node of the iroh network: a key and a UDP socket. Its methods may be called from any goroutine.
type Endpoint struct {
	cfg       Config
	id        key.EndpointID
	log       *slog.Logger
	socket    *socket
	transport *quic.Transport
	detour    *quic.Transport // writes by UDP what is for relayed paths; receives nothing
	relays    *home.Relays    // nil if none is configured
	observer  *observe.Observer
	listener  *quic.Listener // nil if no protocol is accepted
	dialConf  *quic.Config
	admission *admission.Admission
	growth    *admission.Growth
	announced announced
	punching  chan struct{} // has room for maxPunching

	done chan struct{}  // closed when closing begins
	wg   sync.WaitGroup // one for each connection in conns and for each Dial, including its losers

	mu     sync.Mutex
	closed bool
	conns  map[*Conn]struct{}
	ended  chan struct{} // replaced and closed whenever a connection ends, see Shutdown
}

// Listen opens the socket of cfg and starts to accept connections. The caller must call Close or Shutdown.
func Listen(cfg Config) (*Endpoint, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	s, err := openSocket(cfg.Listen)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		cfg:       cfg,
		id:        cfg.SecretKey.ID(),
		log:       cfg.Logger,
		socket:    s,
		admission: admission.New(),
		growth:    admission.NewGrowth(growthBudget),
		done:      make(chan struct{}),
		conns:     map[*Conn]struct{}{},
		ended:     make(chan struct{}),
		announced: announced{changed: make(chan struct{})},
		punching:  make(chan struct{}, maxPunching),
	}
	e.transport = &quic.Transport{
		Conn:                s.conn,
		ConnectionIDLength:  idLength,
		StatelessResetKey:   resetKey(cfg.SecretKey),
		VerifySourceAddress: e.admission.NeedsRetry,
		ConnContext:         e.admission.Admit,
	}
	s.conn.DeliverTo(e.transport)
	e.detour = &quic.Transport{Conn: s.conn.Detour(), ConnectionIDLength: idLength}
	e.dialConf = e.quicConfig(dialedStreamWindow, dialedConnWindow)
	if len(cfg.ALPNs) > 0 {
		e.listener, err = e.transport.Listen(e.serverTLS(), e.quicConfig(acceptedStreamWindow, acceptedConnWindow))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("iroh: listen: %w", err), e.transport.Close(), s.conn.Close())
	}
	if len(cfg.Relays) > 0 {
		e.observer = startObserver(e)
		e.relays = startRelays(e)
	}
	e.Addr()
	e.wg.Add(1)
	go e.watch()
	e.log.Info("iroh endpoint listens", "id", e.id.String(), "addr", s.local.String(), "receive-offload", s.offload)
	return e, nil
}

func (e *Endpoint) quicConfig(stream, conn uint64) *quic.Config {
	c := e.cfg.quicConfig()
	c.InitialStreamReceiveWindow, c.InitialConnectionReceiveWindow = stream, conn
	c.AllowConnectionWindowIncrease = e.growth.Allow
	return c
}

func (e *Endpoint) serverTLS() *tls.Config {
	conf := rpktls.TLSConfig(&rpktls.Config{SecretKey: e.cfg.SecretKey, ALPN: e.cfg.ALPNs})
	if len(e.cfg.Relays) == 0 {
		return conf // nobody has to come through a relay
	}
	with := punch.Server{Heard: e.punch}
	if !e.cfg.HideAddrs {
		with.Where = e.announced.direct
	}
	return punch.Hear(conf, with)
}

// ID is the endpoint's own id.
func (e *Endpoint) ID() key.EndpointID { return e.id }

// LocalAddrs returns the addresses on which the endpoint can be dialed from its own networks. A wildcard is expanded to
// the addresses of all interfaces that are up, without link-local ones, whose zone means nothing to others. Loopback is
// there if the endpoint is bound to it or if there is nothing else.
func (e *Endpoint) LocalAddrs() []netip.AddrPort {
	if !e.socket.local.Addr().IsUnspecified() {
		return []netip.AddrPort{e.socket.local}
	}
	return expand(e.socket, interfaceAddrs())
}

// Addr is what others need to dial the endpoint: its id, its home relay once that is reached (see WaitRelay), the announced
// addresses, the one that is mapped at the gateway, those under which relays see it, and the local ones, at most 30.
func (e *Endpoint) Addr() ticket.EndpointAddr { return e.announced.note(e.findAddr) }

func (e *Endpoint) findAddr() ticket.EndpointAddr {
	addr := ticket.EndpointAddr{ID: e.id}
	if home := e.HomeRelay(); home != "" {
		addr.Relays = []string{home}
	}
	seen := map[netip.AddrPort]bool{}
	for _, list := range [][]netip.AddrPort{e.cfg.Announce, e.mapped(), e.observed(), e.LocalAddrs()} {
		for _, a := range list {
			if !seen[a] && len(addr.Direct) < maxAnnounced {
				seen[a] = true
				addr.Direct = append(addr.Direct, a)
			}
		}
	}
	return addr
}

// Accept waits for the next connection that somebody made to the endpoint and whose handshake is complete. Its error
// wraps ErrClosed when the endpoint is closed, and ctx's when that is done; any other error says that the socket failed,
// after which the endpoint is of no use.
func (e *Endpoint) Accept(ctx context.Context) (*Conn, error) {
	if e.listener == nil {
		return nil, errors.New("iroh: accept: the endpoint was made without protocols (ALPN) to accept")
	}
	for {
		qc, err := e.listener.Accept(ctx)
		if err != nil {
			return nil, e.wrap("accept", err)
		}
		c, err := e.adopt(qc, nil, false)
		if err == nil {
			admission.Established(qc.Context())
			e.log.Debug("iroh connection accepted", "peer", c.RemoteID().ShortString(), "path", c.Path().String(), "alpn", c.ALPN())
			return c, nil
		}
		if errors.Is(err, ErrClosed) {
			return nil, err
		}
		e.log.Warn("iroh connection without identity closed", "addr", qc.RemoteAddr().String(), "err", err)
	}
}

// wrap gives errors of quic-go the name of what was tried, and ErrClosed when closing the endpoint caused them.
func (e *Endpoint) wrap(doing string, err error) error {
	select {
	case <-e.done:
		return fmt.Errorf("iroh: %s: %w", doing, ErrClosed)
	default:
		return fmt.Errorf("iroh: %s: %w", doing, err)
	}
}

// adopt makes a Conn of a connection whose handshake is complete, dialed by route if it was dialed through a relay. If it
// cannot, both are closed.
func (e *Endpoint) adopt(qc *quic.Conn, route *paths.Route, dialed bool) (*Conn, error) {
	state := qc.ConnectionState().TLS
	id, err := rpktls.PeerID(state)
	if err != nil {
		attempt{conn: qc, route: route}.close()
		return nil, fmt.Errorf("iroh: %w", err)
	}
	c := &Conn{endpoint: e, quic: qc, id: id, alpn: state.NegotiatedProtocol, route: route, dialed: dialed, since: time.Now()}
	if !e.track(c) {
		attempt{conn: qc, route: route}.close()
		return nil, fmt.Errorf("iroh: %w", ErrClosed)
	}
	return c, nil
}

// track keeps c in conns until it is closed. It reports false, and keeps nothing, when the endpoint is closed.
func (e *Endpoint) track(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.conns[c] = struct{}{}
	e.growth.Open(c.quic)
	e.wg.Add(1)
	context.AfterFunc(c.quic.Context(), func() {
		defer e.wg.Done()
		e.growth.Close(c.quic)
		if c.route != nil {
			c.route.Close()
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.conns, c)
		close(e.ended)
		e.ended = make(chan struct{})
	})
	return true
}

// begin counts one more thing to wait for in Close, unless closing has begun.
func (e *Endpoint) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.wg.Add(1)
	}
	return !e.closed
}

// Shutdown stops to accept connections, waits until those that there are have ended or ctx is done, and closes the
// endpoint. Its error is that of ctx if connections had to be closed.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	if e.listener != nil {
		e.listener.Close()
	}
	var waitErr error
	for waitErr == nil {
		e.mu.Lock()
		left, ended := len(e.conns), e.ended
		e.mu.Unlock()
		if left == 0 {
			break
		}
		select {
		case <-ended:
		case <-e.done:
			waitErr = ErrClosed
		case <-ctx.Done():
			waitErr = ctx.Err()
		}
	}
	if err := e.Close(); err != nil {
		return err
	}
	if waitErr != nil {
		return fmt.Errorf("iroh: shutdown: %w", waitErr)
	}
	return nil
}

// Close closes all connections with application code 0, then the socket, and waits until nothing of the endpoint runs
// any more. A second call does nothing.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		e.wg.Wait()
		return nil
	}
	e.closed = true
	close(e.done)
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()

	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { c.CloseWithError(0, "") })
	}
	if e.listener != nil {
		e.listener.Close()
		e.dismiss()
	}
	closing.Wait()
	if e.relays != nil {
		e.relays.Close() // after it has sent what closing the connections made
		e.observer.Close()
	}
	err := errors.Join(e.transport.Close(), e.detour.Close())
	e.socket.conn.Stop()
	err = errors.Join(err, e.socket.conn.Close())
	e.wg.Wait()
	e.admission.Wait()
	if err != nil {
		return fmt.Errorf("iroh: close: %w", err)
	}
	return nil
}

// dismiss closes connections that were complete but never accepted. The listener must be closed.
func (e *Endpoint) dismiss() {
	for {
		qc, err := e.listener.Accept(context.Background())
		if err != nil {
			return
		}
		qc.CloseWithError(0, "")
	}
}
