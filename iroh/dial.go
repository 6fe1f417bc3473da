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

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Dial connects to the endpoint addr.ID for the protocol alpn. It tries the direct addresses of addr until one of them
// proves the id, see the package comment. The error is a *[DialError] when all addresses failed; it wraps [ErrNoAddress] or
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
	targets, err := e.targets(addr)
	if err != nil {
		return nil, fmt.Errorf("iroh: dial %s: %w", addr.ID.ShortString(), err)
	}
	if !e.begin() {
		return nil, fmt.Errorf("iroh: dial: %w", ErrClosed)
	}
	id := addr.ID
	r := &race{
		endpoint: e,
		tls:      e.clientTLS(id, alpn),
		pending:  targets,
		results:  make(chan attempt, len(targets)),
	}
	qc, failed, err := r.run(ctx)
	if err != nil {
		return nil, e.wrap("dial "+id.ShortString(), err)
	}
	if qc == nil {
		return nil, e.wrap("dial", &DialError{ID: id, ALPN: alpn, Attempts: failed})
	}
	c, err := e.adopt(qc)
	if err != nil {
		return nil, err
	}
	e.log.Debug("iroh connection dialed", "peer", id.ShortString(), "addr", c.RemoteAddr().String(), "alpn", alpn)
	return c, nil
}

func (e *Endpoint) clientTLS(peer key.EndpointID, alpn string) *tls.Config {
	return rpktls.TLSConfig(&rpktls.Config{SecretKey: e.cfg.SecretKey, ALPN: []string{alpn}, PeerID: &peer})
}

// An attempt is the outcome of dialing one address: a connection or an error.
type attempt struct {
	addr netip.AddrPort
	conn *quic.Conn
	err  error
}

// A race dials the addresses of one endpoint. It is run once, by one goroutine.
type race struct {
	endpoint *Endpoint
	tls      *tls.Config
	pending  []netip.AddrPort // not tried yet
	tried    []netip.AddrPort
	running  int          // attempts whose result was not read yet
	results  chan attempt // has room for all, so that no attempt waits for its result to be read
}

// run returns the first connection; or the failed attempts when all failed; or an error when ctx is done or the
// endpoint closes meanwhile. What Dial has begun ends when nothing of the race runs any more, which may be later.
func (r *race) run(ctx context.Context) (*quic.Conn, []AttemptError, error) {
	attemptCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	next := time.NewTimer(0)
	defer next.Stop()
	var failed []AttemptError
	for len(r.pending)+r.running > 0 {
		select {
		case <-next.C:
			r.start(attemptCtx)
			if len(r.pending) > 0 {
				next.Reset(dialStagger)
			}
		case a := <-r.results:
			r.running--
			if a.conn != nil {
				go r.finish(cancel, loserGrace)
				return a.conn, nil, nil
			}
			failed = append(failed, AttemptError{Addr: a.addr, Err: a.err})
			if len(r.pending) > 0 {
				next.Reset(0)
			}
		case <-ctx.Done():
			r.finish(cancel, 0)
			return nil, nil, fmt.Errorf("no connection yet with %v: %w", r.tried, context.Cause(ctx))
		case <-r.endpoint.done:
			r.finish(cancel, 0)
			return nil, nil, ErrClosed
		}
	}
	r.finish(cancel, 0)
	return nil, failed, nil
}

// start begins the next attempt.
func (r *race) start(ctx context.Context) {
	addr := r.pending[0]
	r.pending, r.tried = r.pending[1:], append(r.tried, addr)
	r.running++
	go func() { // finish reads the result
		e := r.endpoint
		conn, err := e.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), r.tls, e.dialConf)
		r.results <- attempt{addr: addr, conn: conn, err: err}
	}()
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
			if a.conn != nil {
				a.conn.CloseWithError(0, "")
			}
		case <-over.C:
			cancel()
		case <-done:
			cancel()
			done = nil
		}
	}
}
