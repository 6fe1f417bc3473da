package iroh

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/internal/punch"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// An attempt is the outcome of dialing one target: a connection or an error.
type attempt struct {
	target
	conn  *quic.Conn
	route *paths.Route     // of a connection through a relay
	told  []netip.AddrPort // where the peer is, as it said through that
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

// A race dials the targets of one endpoint, and asks the resolver for more of them. It is run once, by one goroutine.
type race struct {
	endpoint *Endpoint
	id       key.EndpointID
	tls      *tls.Config
	pending  []target // direct addresses not tried yet
	relayed  []target // relays not tried yet
	known    map[target]bool
	direct   []netip.AddrPort // all direct addresses, tried or not
	tried    []target
	failed   []AttemptError
	running  int          // attempts whose result was not read yet
	results  chan attempt // has room for all, so that no attempt waits for its result to be read

	lookup   Resolver // nil if there is none or it was asked already
	asking   bool
	found    chan ticket.EndpointAddr // what it says
	resolved chan error               // that it says no more
	unusable error                    // why nothing that is known can be tried
	unfound  error                    // why it has found nothing
}

func newRace(e *Endpoint, id key.EndpointID, alpn string) *race {
	return &race{
		endpoint: e, id: id, tls: e.clientTLS(id, alpn), known: map[target]bool{},
		// What the caller knows and what the resolver does have the same limits each.
		results: make(chan attempt, 2*(maxDialAddrs+maxDialRelays)),
		lookup:  e.cfg.Resolver, found: make(chan ticket.EndpointAddr), resolved: make(chan error, 1),
	}
}

// add takes the targets of addr in that are new. Those that are known stay where they are.
func (r *race) add(addr ticket.EndpointAddr) {
	direct, relays, err := r.endpoint.targets(addr)
	if err != nil {
		r.unusable = err
	}
	for _, a := range direct {
		if t := (target{addr: a}); r.fresh(t) {
			r.pending, r.direct = append(r.pending, t), append(r.direct, a)
		}
	}
	for _, u := range relays {
		if t := (target{relay: u}); r.fresh(t) {
			r.relayed = append(r.relayed, t)
			_, _ = r.endpoint.relays.Client(u) // begins to connect; throughRelay has the error, if it comes to that
		}
	}
}

// fresh reports whether a target is new and there may be one more.
func (r *race) fresh(t target) bool {
	if r.known[t] || len(r.known) >= cap(r.results) {
		return false
	}
	r.known[t] = true
	return true
}

// run returns the first connection; or none when all attempts have failed; or an error when ctx is done or the
// endpoint closes meanwhile. What Dial has begun ends when nothing of the race runs any more, which may be later.
func (r *race) run(ctx context.Context) (won attempt, err error) {
	attemptCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lookupCtx, stopLookup := context.WithTimeout(attemptCtx, lookupTime)
	defer stopLookup()
	next, relays, ask := time.NewTimer(0), time.NewTimer(relayStagger), time.NewTimer(lookupStagger)
	defer next.Stop()
	defer relays.Stop()
	defer ask.Stop()
	for {
		switch busy := len(r.pending)+r.running > 0; {
		case !busy && len(r.relayed) > 0:
			relays.Reset(0)
		case !busy && r.lookup != nil:
			r.ask(lookupCtx)
		case !busy && !r.asking:
			r.finish(cancel, 0)
			return won, nil
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
		case <-ask.C:
			r.ask(lookupCtx)
		case addr := <-r.found:
			none, noRelay := len(r.pending) == 0, len(r.relayed) == 0
			r.add(addr)
			if none {
				next.Reset(0)
			}
			if noRelay {
				relays.Reset(relayStagger)
			}
		case err := <-r.resolved:
			r.asking, r.unfound = false, err
		case a := <-r.results:
			r.running--
			if a.err == nil {
				stopLookup()
				go r.finish(cancel, loserGrace)
				return a, nil
			}
			r.failed = append(r.failed, AttemptError{Addr: a.addr, Relay: a.relay.String(), Err: a.err})
			if len(r.pending) > 0 {
				next.Reset(0)
			}
		case <-ctx.Done():
			err := r.unfinished(context.Cause(ctx))
			r.finish(cancel, 0)
			return won, err
		case <-r.endpoint.done:
			r.finish(cancel, 0)
			return won, ErrClosed
		}
	}
}

func (r *race) unfinished(cause error) error {
	switch {
	case r.asking && len(r.tried) == 0:
		return fmt.Errorf("no address found yet: %w", cause)
	case r.unfound != nil && len(r.tried) == 0:
		return fmt.Errorf("no address found: %w: %w", r.unfound, cause)
	}
	return fmt.Errorf("no connection yet with %v: %w", r.tried, cause)
}

// ask begins to ask the resolver, once.
func (r *race) ask(ctx context.Context) {
	if r.lookup == nil {
		return // it was asked already
	}
	resolver := r.lookup
	r.lookup, r.asking = nil, true
	go func() { // finish waits for it
		r.resolved <- resolver.Follow(ctx, r.id, func(addr ticket.EndpointAddr) bool {
			if addr.ID != r.id {
				return true
			}
			select {
			case r.found <- addr:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
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
	var told []netip.AddrPort // before the dial returns
	conf := punch.Offer(r.tls, e.observed(), func(addrs []netip.AddrPort) { told = addrs })
	conn, err := e.transport.Dial(ctx, route.Addr(), conf, e.dialConf)
	if err != nil {
		route.Close()
		return attempt{target: t, err: err}
	}
	return attempt{target: t, conn: conn, route: route, told: told}
}

// finish gives the attempts that still run the grace time to complete, then cancels them, and closes the connections
// that come of them. A resolver that is still asked is told to stop with them, or before.
func (r *race) finish(cancel context.CancelFunc, grace time.Duration) {
	defer r.endpoint.wg.Done()
	defer cancel()
	over := time.NewTimer(grace)
	defer over.Stop()
	done := r.endpoint.done
	for r.running > 0 || r.asking {
		select {
		case <-r.resolved:
			r.asking = false
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
