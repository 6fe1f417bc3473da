package iroh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// errRefused is the answer to an Initial beyond the limits; the peer sees CONNECTION_REFUSED.
var errRefused = errors.New("too many connections")

// admission counts accepted connections, from their first Initial on, and refuses those beyond the limits.
type admission struct {
	mu       sync.Mutex
	total    count
	bySource map[netip.Prefix]*count
	slots    sync.WaitGroup // one for each connection
}

// count is a number of connections and how many of them are in the middle of their handshake.
type count struct{ all, halfOpen int }

// slot is the place that one connection takes.
type slot struct {
	admission *admission
	source    netip.Prefix
	halfOpen  bool // guarded by admission.mu
}

// slotKey finds the slot in the context of a connection.
type slotKey struct{}

func newAdmission() *admission {
	return &admission{bySource: map[netip.Prefix]*count{}}
}

// source is what one host has one of: an IPv4 address or an IPv6 /64. All that comes through one relay is in one /64 as well.
func source(a net.Addr) netip.Prefix {
	addr := addrPort(a).Addr().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // an address of no IP family is the zero prefix
	return p
}

// share is what one source may have.
type share struct{ all, halfOpen, retry int }

func shareOf(source netip.Prefix) share {
	if paths.Relayed(source.Addr()) {
		return share{maxConnsPerRelay, maxHalfOpenPerRelay, retryHalfOpenPerRelay}
	}
	return share{maxConnsPerSource, maxHalfOpenPerSource, retryHalfOpenPerSource}
}

// needsRetry reports whether the sender of an Initial must first prove that it receives at its address.
func (a *admission) needsRetry(from net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	src := source(from)
	s := a.bySource[src]
	return a.total.halfOpen >= retryHalfOpen || s != nil && s.halfOpen >= shareOf(src).retry
}

// admit gives a new connection its slot, which it keeps until ctx is done.
func (a *admission) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	s := &slot{admission: a, source: source(info.RemoteAddr), halfOpen: true}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.bySource[s.source]
	if n == nil {
		n = &count{}
	}
	may := shareOf(s.source)
	if a.total.halfOpen >= maxHalfOpen || a.total.all >= maxConns || n.halfOpen >= may.halfOpen || n.all >= may.all {
		return nil, errRefused
	}
	a.bySource[s.source] = n
	for _, c := range []*count{n, &a.total} {
		c.all++
		c.halfOpen++
	}
	a.slots.Add(1)
	context.AfterFunc(ctx, s.release)
	return context.WithValue(ctx, slotKey{}, s), nil
}

// established says that the handshake is complete.
func (s *slot) established() {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	s.endHandshake()
}

func (s *slot) endHandshake() {
	if !s.halfOpen {
		return
	}
	s.halfOpen = false
	s.admission.total.halfOpen--
	s.admission.bySource[s.source].halfOpen--
}

// release gives the slot back.
func (s *slot) release() {
	a := s.admission
	defer a.slots.Done()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.endHandshake()
	a.total.all--
	n := a.bySource[s.source]
	if n.all--; n.all == 0 {
		delete(a.bySource, s.source)
	}
}

// wait returns when all slots were given back. No more may be taken by then.
func (a *admission) wait() { a.slots.Wait() }

// growth is the budget by which the receive windows of all connections may grow beyond what they begin with.
type growth struct {
	mu    sync.Mutex
	left  uint64
	taken map[*quic.Conn]uint64
}

func newGrowth(budget uint64) *growth {
	return &growth{left: budget, taken: map[*quic.Conn]uint64{}}
}

// open lets c take part.
func (g *growth) open(c *quic.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken[c] = 0
}

// close gives back what c took.
func (g *growth) close(c *quic.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left += g.taken[c]
	delete(g.taken, c)
}

// allow is asked by quic-go before the window of c grows by delta bytes.
func (g *growth) allow(c *quic.Conn, delta uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, open := g.taken[c]
	if !open || delta > g.left {
		return false
	}
	g.taken[c] = n + delta
	g.left -= delta
	return true
}
