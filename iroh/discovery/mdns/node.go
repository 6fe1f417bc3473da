package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Config says who we are on which network. Everything but the id may be left zero.
type Config struct {
	// ID is our own endpoint, whose announcements are not ours to learn from. Required.
	ID key.EndpointID
	// Interfaces are the networks to use; empty: all that are up and can multicast, also those that come later.
	Interfaces []net.Interface
	// Service is what iroh calls the service name; empty is "irohv1", the one that all iroh endpoints share.
	Service string
	// Cadence is about how often somebody asks; zero is [DefaultCadence].
	Cadence time.Duration
	// Logger gets what is of use to an operator; nil drops it.
	Logger *slog.Logger
}

// Node listens on the local network, and announces our endpoint once it has something to announce. It is a
// discovery.Source and a discovery.Sink, safe for concurrent use. Close ends it.
type Node struct {
	id      key.EndpointID
	wire    wire
	query   []byte
	log     *slog.Logger
	sockets []socket
	heard   chan message
	cancel  context.CancelFunc
	wg      sync.WaitGroup // the loop, and a reader for each socket

	cadence cadence // the loop's own

	mu      sync.Mutex
	answer  []byte // what announces us; nil for nothing
	peers   map[key.EndpointID]sighting
	changed chan struct{} // closed and replaced when an endpoint is new or has changed
}

// A sighting is what an endpoint has announced, and when it did so last.
type sighting struct {
	rec record.Record
	at  time.Time
}

var (
	_ discovery.Source = (*Node)(nil)
	_ discovery.Sink   = (*Node)(nil)
)

// Listen joins the multicast groups. It fails when neither IPv4 nor IPv6 has one that can be joined.
func Listen(cfg Config) (*Node, error) {
	if cfg.ID.IsZero() {
		return nil, errors.New("mdns: our endpoint id is missing")
	}
	if cfg.Service == "" {
		cfg.Service = "irohv1"
	}
	if cfg.Cadence <= 0 {
		cfg.Cadence = DefaultCadence
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w, err := newWire(cfg.Service)
	if err != nil {
		return nil, err
	}
	query, err := w.query()
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	sockets, err := open(cfg.Interfaces)
	if err != nil {
		return nil, err
	}
	n := &Node{
		id: cfg.ID, wire: w, query: query, log: cfg.Logger, sockets: sockets,
		heard:   make(chan message, queued),
		cadence: cadence{tau: cfg.Cadence, random: rand.Float64},
		peers:   map[key.EndpointID]sighting{},
		changed: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	for _, s := range sockets {
		n.wg.Go(func() { n.receive(ctx, s) })
	}
	n.wg.Go(func() { n.run(ctx) })
	return n, nil
}

// Close leaves the groups and waits for all that runs. Others forget us after a while.
func (n *Node) Close() error {
	n.cancel()
	var errs []error
	for _, s := range n.sockets {
		errs = append(errs, s.close())
	}
	n.wg.Wait()
	return errors.Join(errs...)
}

// Name implements discovery.Source and discovery.Sink.
func (n *Node) Name() string { return "mdns" }

// Publish announces our endpoint with the direct addresses, the first relay and the user data of a record, from now on
// and whenever somebody asks. A record without direct addresses ends it: iroh would not heed an announcement of a relay.
func (n *Node) Publish(_ context.Context, r record.Record) error {
	r.Addr.ID = n.id
	b, err := n.wire.answer(r)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = b
	return nil
}

// Resolve returns what an endpoint has announced. It waits up to 3 s for one that was not heard of. The error is
// discovery.ErrNotFound when it is not on the local network.
func (n *Node) Resolve(ctx context.Context, id key.EndpointID) (record.Record, error) {
	timer := time.NewTimer(resolveWait)
	defer timer.Stop()
	for {
		n.mu.Lock()
		s, ok := n.peers[id]
		changed := n.changed
		n.mu.Unlock()
		if ok {
			return s.rec.Clone(), nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return record.Record{}, discovery.ErrNotFound
		case <-ctx.Done():
			return record.Record{}, discovery.ErrNotFound
		}
	}
}

// Peers returns what the endpoints of the local network have announced, in no order.
func (n *Node) Peers() []record.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []record.Record
	for _, s := range n.peers {
		out = append(out, s.rec.Clone())
	}
	return out
}

// receive reads from one socket until it is closed.
func (n *Node) receive(ctx context.Context, s socket) {
	buf := make([]byte, maxDatagram)
	for {
		size, err := s.read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// A network that went down comes back; the socket itself stays good.
			n.log.Debug("reading multicast failed", "err", err)
			select {
			case <-time.After(readRetry):
			case <-ctx.Done():
			}
			continue
		}
		m := n.wire.read(buf[:size])
		if !m.query && len(m.seen) == 0 {
			continue
		}
		select {
		case n.heard <- m:
		default:
		}
	}
}

// run asks, answers and forgets until ctx ends.
func (n *Node) run(ctx context.Context) {
	n.cadence.wait(time.Now(), 1)
	// The first question does not wait: whoever has just come up wants to know.
	n.cadence.deadline = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	join := time.NewTicker(rejoin)
	defer join.Stop()
	for {
		timer.Reset(time.Until(n.cadence.deadline))
		select {
		case m := <-n.heard:
			n.handle(m)
		case <-timer.C:
			n.fire()
		case <-join.C:
			for _, s := range n.sockets {
				s.join()
			}
		case <-ctx.Done():
			return
		}
	}
}

// handle takes in what was heard, our own messages included.
func (n *Node) handle(m message) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	others := 0
	for _, r := range m.seen {
		if r.ID() != n.id {
			others++
			n.see(r, now)
		}
	}
	size := len(n.peers) + 1
	if m.query {
		n.cadence.query(now, size)
	}
	n.cadence.answers(now, size, others)
}

// see remembers a record. The mutex is held.
func (n *Node) see(r record.Record, now time.Time) {
	old, known := n.peers[r.ID()]
	if !known && len(n.peers) >= maxPeers {
		n.forgetOne()
	}
	n.peers[r.ID()] = sighting{r, now}
	if !known || !old.rec.Equal(r) {
		close(n.changed)
		n.changed = make(chan struct{})
		n.log.Debug("endpoint on the local network", "peer", r.ID().ShortString(), "addrs", r.Addr.Direct)
	}
}

// forgetOne drops the endpoint that was silent the longest. The mutex is held.
func (n *Node) forgetOne() {
	var oldest key.EndpointID
	var at time.Time
	for id, s := range n.peers {
		if at.IsZero() || s.at.Before(at) {
			oldest, at = id, s.at
		}
	}
	delete(n.peers, oldest)
}

// fire does what is due, and forgets who is gone.
func (n *Node) fire() {
	now := time.Now()
	n.mu.Lock()
	size := len(n.peers) + 1
	life := n.cadence.life(size)
	for id, s := range n.peers {
		if now.Sub(s.at) > life {
			delete(n.peers, id)
		}
	}
	talk := n.answer
	n.mu.Unlock()
	say := n.query
	if n.cadence.fire(now, size, talk != nil) == answer {
		say = talk
	}
	if say == nil {
		return
	}
	for _, s := range n.sockets {
		if err := s.write(say); err != nil {
			n.log.Debug("sending multicast failed", "err", err)
		}
	}
}
