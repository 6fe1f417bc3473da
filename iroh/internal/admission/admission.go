// Package admission bounds what peers who have proven nothing make an endpoint do: the connections that it accepts, from their first
// Initial on, for each source and in all; and how far the receive windows of all connections grow together.
//
// A source is an IPv4 address or an IPv6 /64; all that comes through one relay is one. Keys cost nothing, so that a limit for each
// would stop nobody. When many handshakes are under way a sender must first prove by a Retry (RFC 9000, section 8.1.2) that it
// receives at its address.
package admission

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

// ErrRefused is the answer to an Initial beyond the limits; the peer sees CONNECTION_REFUSED.
var ErrRefused = errors.New("too many connections")

// Admission counts accepted connections, from their first Initial on, and refuses those beyond the limits.
type Admission struct {
	mu       sync.Mutex
	total    Count
	bySource map[netip.Prefix]*Count
	slots    sync.WaitGroup // one for each connection
}

// Count is a number of connections and how many of them are in the middle of their handshake.
type Count struct{ All, HalfOpen int }

// slot is the place that one connection takes.
type slot struct {
	admission *Admission
	source    netip.Prefix
	halfOpen  bool // guarded by admission.mu
}

// slotKey finds the slot in the context of a connection.
type slotKey struct{}

// New admits everybody within the limits.
func New() *Admission {
	return &Admission{bySource: map[netip.Prefix]*Count{}}
}

// source is what one host has one of: an IPv4 address or an IPv6 /64. All that comes through one relay is in one /64 as well.
func source(a net.Addr) netip.Prefix {
	addr := ip(a).WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // an address of no IP family is the zero prefix
	return p
}

// share is what one source may have: connections, and handshakes under way before it is asked for a Retry.
type share struct{ conns, retry int }

func shareOf(source netip.Prefix) share {
	if paths.Relayed(source.Addr()) {
		return share{maxConnsPerRelay, retryHalfOpenPerRelay}
	}
	return share{MaxConnsPerSource, RetryHalfOpenPerSource}
}

// NeedsRetry reports whether the sender of an Initial must first prove that it receives at its address.
func (a *Admission) NeedsRetry(from net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.needsRetry(source(from))
}

func (a *Admission) needsRetry(source netip.Prefix) bool {
	n := a.bySource[source]
	return a.total.HalfOpen >= RetryHalfOpen || n != nil && n.HalfOpen >= shareOf(source).retry
}

// Admit gives a new connection its slot, which it keeps until ctx is done.
func (a *Admission) Admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	s := &slot{admission: a, source: source(info.RemoteAddr), halfOpen: true}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.bySource[s.source]
	if n == nil {
		n = &Count{}
	}
	// Who proved nothing was not asked to, and the answer may have changed since.
	if a.total.All >= MaxConns || n.All >= shareOf(s.source).conns || !info.AddrVerified && a.needsRetry(s.source) {
		return nil, ErrRefused
	}
	a.bySource[s.source] = n
	for _, c := range []*Count{n, &a.total} {
		c.All++
		c.HalfOpen++
	}
	a.slots.Add(1)
	context.AfterFunc(ctx, s.release)
	return context.WithValue(ctx, slotKey{}, s), nil
}

// Established says that the handshake of the connection whose context this is is complete.
func Established(ctx context.Context) {
	s, ok := ctx.Value(slotKey{}).(*slot)
	if !ok {
		return // we have dialed it
	}
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	s.endHandshake()
}

func (s *slot) endHandshake() {
	if !s.halfOpen {
		return
	}
	s.halfOpen = false
	s.admission.total.HalfOpen--
	s.admission.bySource[s.source].HalfOpen--
}

// release gives the slot back.
func (s *slot) release() {
	a := s.admission
	defer a.slots.Done()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.endHandshake()
	a.total.All--
	n := a.bySource[s.source]
	if n.All--; n.All == 0 {
		delete(a.bySource, s.source)
	}
}

// Wait returns when all slots were given back. No more may be taken by then.
func (a *Admission) Wait() { a.slots.Wait() }

// Counts are the connections that were admitted and are not over.
func (a *Admission) Counts() Count {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// ip is the IP address of a UDP address, and not valid for others.
func ip(a net.Addr) netip.Addr {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return u.AddrPort().Addr().Unmap()
}
