package iroh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Dial connects to the endpoint addr.ID for the protocol alpn. It tries the direct addresses and relays of addr, and those that
// Config.Resolver finds if addr has none or they do not answer, until one of them proves the id, see the package comment. The
// error is a *[DialError] when all of them failed; it wraps [ErrNoAddress] or [ErrRelayOnly] when there was none to try,
// [ErrClosed] when the endpoint is closed, and ctx's when that is done.
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
	id := addr.ID
	r := newRace(e, id, alpn)
	r.add(addr)
	if len(r.known) == 0 && r.lookup == nil {
		return nil, fmt.Errorf("iroh: dial %s: %w", id.ShortString(), r.unusable)
	}
	if !e.begin() {
		return nil, fmt.Errorf("iroh: dial: %w", ErrClosed)
	}
	won, err := r.run(ctx)
	if err != nil {
		return nil, e.wrap("dial "+id.ShortString(), err)
	}
	if won.conn == nil {
		e.forget(id)
		return nil, e.wrap("dial", &DialError{ID: id, ALPN: alpn, Attempts: r.failed, Lookup: r.unfound, unusable: r.unusable})
	}
	c, err := e.adopt(won.conn, won.route, true)
	if err != nil {
		return nil, err
	}
	if won.route != nil && e.begin() {
		go c.seekDirect(e.candidates(id, won.told, r.direct)) // it ends with the connection
	}
	e.log.Debug("iroh connection dialed", "peer", id.ShortString(), "path", c.Path().String(), "alpn", alpn)
	return c, nil
}

// forget tells the resolver that what it knows of an endpoint leads nowhere, if it wants to know.
func (e *Endpoint) forget(id key.EndpointID) {
	if r, ok := e.cfg.Resolver.(interface{ Forget(key.EndpointID) }); ok {
		r.Forget(id)
	}
}

func (e *Endpoint) clientTLS(peer key.EndpointID, alpn string) *tls.Config {
	return rpktls.TLSConfig(&rpktls.Config{SecretKey: e.cfg.SecretKey, ALPN: []string{alpn}, PeerID: &peer})
}
