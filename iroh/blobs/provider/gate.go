package provider

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// ErrLimit says that a connection or request is above a limit of the provider.
var ErrLimit = errors.New("blobs: limit of the provider is reached")

// Limits bounds what a provider does for others. A zero field is the default that it names; a negative number is no limit.
type Limits struct {
	// All holds for all peers together, Peer for each endpoint id.
	All, Peer Limit

	// Memory is the bytes that all answers and pushes together may take for buffers; who comes later waits. 0 is 256 MiB, the
	// least is 8 MiB.
	Memory int64

	// MinRate is how many bytes per second a connection has to take, or while it pushes to give, on average over each IdleTimeout in which
	// somebody waited for it; below that the request that notices is ended. 0 is 4 KiB.
	MinRate int64
}

// Limit is what one peer, or all of them, may have of a provider.
type Limit struct {
	// Connections open at once; one more is closed with CodeLimit. 0 is 64 for a peer, 1,024 for all.
	Connections int
	// Requests being answered at once, each on a stream of its own; one more is refused with CodeLimit. Of one connection no more
	// than 100 streams are served, and the others wait. 0 is 1,000 for a peer, 10,000 for all.
	Requests int
	// Observers of blobs at once, which count apart, since they may stay for ever; one more is refused with CodeLimit. 0 is
	// 64 for a peer, 4,096 for all.
	Observers int
	// RequestRate is requests per second, with bursts of as many; what is above is refused with CodeLimit. 0 is no limit.
	RequestRate float64
	// ByteRate is bytes per second, answers and pushes together, with bursts of a quarter second; what is above waits. 0 is no
	// limit.
	ByteRate int64
}

func (l Limits) withDefaults() Limits {
	l.All = l.All.withDefaults(Limit{Connections: allConnections, Requests: allRequests, Observers: allObservers})
	l.Peer = l.Peer.withDefaults(Limit{Connections: peerConnections, Requests: peerRequests, Observers: peerObservers})
	if l.Memory == 0 {
		l.Memory = defaultMemory
	}
	if l.MinRate == 0 {
		l.MinRate = defaultMinRate
	}
	return l
}

func (l Limit) withDefaults(d Limit) Limit {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Connections, d.Connections}, {&l.Requests, d.Requests}, {&l.Observers, d.Observers}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// gate counts what peers have, and lets in what the limits allow.
type gate struct {
	limits Limits

	mu    sync.Mutex
	all   *share
	peers map[key.EndpointID]*share
}

// share is what one peer, or all of them, have at the moment. The counts are guarded by the gate's mu.
type share struct {
	limit                            Limit
	connections, requests, observers int
	asked                            *rate.Limiter // requests; nil: no limit
	moved                            *rate.Limiter // bytes; nil: no limit
	slice                            int           // bytes that may be moved at a time
}

func newGate(limits Limits) *gate {
	return &gate{limits: limits, all: newShare(limits.All), peers: make(map[key.EndpointID]*share)}
}

func newShare(l Limit) *share {
	s := &share{limit: l, slice: maxSlice}
	if l.RequestRate > 0 {
		s.asked = rate.NewLimiter(rate.Limit(l.RequestRate), max(1, int(l.RequestRate)))
	}
	if l.ByteRate > 0 {
		s.slice = int(min(maxSlice, max(minSlice, l.ByteRate/8)))
		s.moved = rate.NewLimiter(rate.Limit(l.ByteRate), 2*s.slice)
		if burst := l.ByteRate / 4; burst > int64(2*s.slice) {
			s.moved.SetBurst(int(min(burst, maxBurst)))
		}
	}
	return s
}

// below tells whether one more is within a limit.
func below(n, limit int) bool { return limit < 0 || n < limit }

// connect lets a connection in, or returns nil.
func (g *gate) connect(peer key.EndpointID) *share {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.peers[peer]
	if s == nil {
		s = newShare(g.limits.Peer)
	}
	if !below(g.all.connections, g.all.limit.Connections) || !below(s.connections, s.limit.Connections) {
		return nil
	}
	if g.peers[peer] == nil {
		g.forget()
		g.peers[peer] = s
	}
	g.all.connections++
	s.connections++
	return s
}

// forget drops what is known of peers that are gone: of all whose limiters have recovered, and when that is not enough of all.
func (g *gate) forget() {
	if len(g.peers) < maxPeers {
		return
	}
	for _, onlyIdle := range []bool{true, false} {
		for peer, s := range g.peers {
			if s.connections == 0 && (!onlyIdle || s.recovered()) {
				delete(g.peers, peer)
			}
		}
		if len(g.peers) < maxPeers {
			return
		}
	}
}

// recovered tells whether a new share would be no better.
func (s *share) recovered() bool {
	for _, l := range []*rate.Limiter{s.asked, s.moved} {
		if l != nil && l.Tokens() < float64(l.Burst()) {
			return false
		}
	}
	return true
}

func (g *gate) disconnect(peer key.EndpointID, s *share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all.connections--
	s.connections--
	if s.connections == 0 && s.recovered() {
		delete(g.peers, peer)
	}
}

// request lets a request in; leave is to be called at its end. Observers are counted apart.
func (g *gate) request(s *share, observer bool) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, of := range []*share{s, g.all} {
		n, limit := of.count(observer)
		if !below(*n, limit) || of.asked != nil && !of.asked.Allow() {
			return nil, ErrLimit
		}
	}
	add := func(d int) {
		for _, of := range []*share{s, g.all} {
			n, _ := of.count(observer)
			*n += d
		}
	}
	add(1)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		add(-1)
	}, nil
}

func (s *share) count(observer bool) (n *int, limit int) {
	if observer {
		return &s.observers, s.limit.Observers
	}
	return &s.requests, s.limit.Requests
}

// slice is how many bytes may be moved at a time.
func (g *gate) slice(s *share) int { return min(s.slice, g.all.slice) }

// pace waits until n bytes, at most a slice, may be moved.
func (g *gate) pace(ctx context.Context, s *share, n int) error {
	for _, l := range []*rate.Limiter{s.moved, g.all.moved} {
		if l == nil {
			continue
		}
		if err := l.WaitN(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// meter measures how fast a connection moves bytes while somebody waits for it.
type meter struct {
	rate   int64 // the least, in bytes per second; negative: none
	window time.Duration

	mu      sync.Mutex
	waiting int
	since   time.Time     // last look
	busy    time.Duration // of this window, with somebody waiting
	bytes   int64         // of this window
}

func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == 0 {
		m.since = time.Now()
	}
	m.waiting++
}

// end tells that n bytes were moved, and whether the connection is too slow.
func (m *meter) end(n int) (slow bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.busy += now.Sub(m.since)
	m.since = now
	m.waiting--
	m.bytes += int64(n)
	if m.busy < m.window {
		return false
	}
	slow = m.rate > 0 && float64(m.bytes) < float64(m.rate)*m.busy.Seconds()
	m.busy, m.bytes = 0, 0
	return slow
}
