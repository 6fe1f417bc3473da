package iroh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Dial connects to the endpoint addr.ID for the protocol alpn. It tries the direct addresses and relays of addr until one of
// them proves the id, see the package comment. The error is a *[DialError] when all of them failed; it wraps [ErrNoAddress] or
// [ErrRelayOnly] when there was none to try, [ErrClosed] when the endpoint is closed, and ctx's when that is done.
func (e *Endpoint) Dial(ctx context.Context, addr ticket.EndpointAddr, alpn string) (*Conn, error) {
	if err := checkALPN(alpn); err != nil {
		return nil, err
	}
	if addr.ID.IsZero() {
		return nil, errors.New("iroh: dial: the address has no endpoint id")
	}
	if addr.ID == e.id {
		return nil, errors.New("iroh: dial: the address is this endpoint's own")
	}
	direct, relays, err := e.targets(addr)
	if err != nil {
		return nil, fmt.Errorf("iroh: dial %s: %w", addr.ID.ShortString(), err)
	}
	if !e.begin() {
		return nil, fmt.Errorf("iroh: dial: %w", ErrClosed)
	}
	id := addr.ID
	won, failed, err := newRace(e, id, alpn, direct, relays).run(ctx)
	if err != nil {
		return nil, e.wrap("dial "+id.ShortString(), err)
	}
	if won.conn == nil {
		return nil, e.wrap("dial", &DialError{ID: id, ALPN: alpn, Attempts: failed})
	}
	c, err := e.adopt(won.conn, won.route, true)
	if err != nil {
		return nil, err
	}
	if won.route != nil && e.begin() {
		go c.seekDirect(direct) // it ends with the connection
	}
	e.log.Debug("iroh connection dialed", "peer", id.ShortString(), "path", c.Path().String(), "alpn", alpn)
	return c, nil
}

func (e *Endpoint) clientTLS(peer key.EndpointID, alpn string) *tls.Config {
	return rpktls.TLSConfig(&rpktls.Config{SecretKey: e.cfg.SecretKey, ALPN: []string{alpn}, PeerID: &peer})
}

// An attempt is the outcome of dialing one target: a connection or an error.
type attempt struct {
	target
	conn  *quic.Conn
	route *paths.Route // of a connection through a relay
	err   error
}

// close ends what an attempt has made.
func (a attempt) close() {
	if a.conn != nil {
		a.conn.CloseWithError(0, "")
	}
	if a.route != nil {
		a.route.Close()
	}
}

// A race dials the targets of one endpoint. It is run once, by one goroutine.
type race struct {
	endpoint *Endpoint
	id       key.EndpointID
	tls      *tls.Config
	pending  []target // direct addresses not tried yet
	relayed  []target // relays not tried yet
	tried    []target
	running  int          // attempts whose result was not read yet
	results  chan attempt // has room for all, so that no attempt waits for its result to be read
}

func newRace(e *Endpoint, id key.EndpointID, alpn string, direct []netip.AddrPort, relays []relay.URL) *race {
	r := &race{endpoint: e, id: id, tls: e.clientTLS(id, alpn), results: make(chan attempt, len(direct)+len(relays))}
	for _, a := range direct {
		r.pending = append(r.pending, target{addr: a})
	}
	for _, u := range relays {
		r.relayed = append(r.relayed, target{relay: u})
	}
	return r
}

// run returns the first connection; or none and the failed attempts when all failed; or an error when ctx is done or the
// endpoint closes meanwhile. What Dial has begun ends when nothing of the race runs any more, which may be later.
func (r *race) run(ctx context.Context) (won attempt, failed []AttemptError, err error) {
	attemptCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	next := time.NewTimer(0)
	defer next.Stop()
	relays := time.NewTimer(relayStagger)
	defer relays.Stop()
	for len(r.pending)+len(r.relayed)+r.running > 0 {
		if len(r.pending)+r.running == 0 {
			relays.Reset(0)
		}
		select {
		case <-next.C:
			if len(r.pending) > 0 {
				r.start(attemptCtx, &r.pending)
				next.Reset(dialStagger)
			}
		case <-relays.C:
			if len(r.relayed) > 0 {
				r.start(attemptCtx, &r.relayed)
				relays.Reset(relayStagger)
			}
		case a := <-r.results:
			r.running--
			if a.err == nil {
				go r.finish(cancel, loserGrace)
				return a, nil, nil
			}
			failed = append(failed, AttemptError{Addr: a.addr, Relay: a.relay.String(), Err: a.err})
			if len(r.pending) > 0 {
				next.Reset(0)
			}
		case <-ctx.Done():
			r.finish(cancel, 0)
			return won, nil, fmt.Errorf("no connection yet with %v: %w", r.tried, context.Cause(ctx))
		case <-r.endpoint.done:
			r.finish(cancel, 0)
			return won, nil, ErrClosed
		}
	}
	r.finish(cancel, 0)
	return won, failed, nil
}

// start begins the next attempt out of a list.
func (r *race) start(ctx context.Context, list *[]target) {
	t := (*list)[0]
	*list, r.tried = (*list)[1:], append(r.tried, t)
	r.running++
	go func() { // finish reads the result
		if !t.relay.IsZero() {
			r.results <- r.throughRelay(ctx, t)
			return
		}
		e := r.endpoint
		conn, err := e.transport.Dial(ctx, net.UDPAddrFromAddrPort(t.addr), r.tls, e.dialConf)
		r.results <- attempt{target: t, conn: conn, err: err}
	}()
}

// throughRelay dials through a relay, to which it connects first if need be.
func (r *race) throughRelay(ctx context.Context, t target) attempt {
	e := r.endpoint
	client, err := e.relays.Client(t.relay)
	if err != nil {
		return attempt{target: t, err: err}
	}
	ready, cancel := context.WithTimeout(ctx, e.cfg.HandshakeTimeout/2)
	defer cancel()
	if err := client.Ready(ready); err != nil {
		return attempt{target: t, err: err}
	}
	route := e.socket.conn.Dial(client, r.id)
	conn, err := e.transport.Dial(ctx, route.Addr(), r.tls, e.dialConf)
	if err != nil {
		route.Close()
		return attempt{target: t, err: err}
	}
	return attempt{target: t, conn: conn, route: route}
}

// finish gives the attempts that still run the grace time to complete, then cancels them, and closes the connections
// that come of them.
func (r *race) finish(cancel context.CancelFunc, grace time.Duration) {
	defer r.endpoint.wg.Done()
	defer cancel()
	over := time.NewTimer(grace)
	defer over.Stop()
	done := r.endpoint.done
	for r.running > 0 {
		select {
		case a := <-r.results:
			r.running--
			a.close()
		case <-over.C:
			cancel()
		case <-done:
			cancel()
			done = nil
		}
	}
}
