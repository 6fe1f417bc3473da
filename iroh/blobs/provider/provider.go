package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/quic-go/quic-go"
)

// Policy decides who may have what. A provider without one gives everything to everybody.
type Policy interface {
	// Allow tells whether peer may have the blob hash; it is asked for every blob of an answer, children too.
	// It may be called from many goroutines and should answer at once.
	Allow(peer key.EndpointID, hash bao.Hash) bool
}

// Config is what a provider needs. Store is required.
type Config struct {
	Store *store.Store
	// Policy may be nil: everything is allowed.
	Policy Policy
	// Leaving may be nil: what is in the store is there.
	Leaving Leaving
	// Push says who may push, and how much. The zero value is nobody.
	Push PushConfig
	// Limits bounds what peers get. The zero value has good defaults.
	Limits Limits
	// Events hears what happens; nil: nobody does.
	Events Events
	// Logger gets one debug record for each request; nil logs nothing.
	Logger *slog.Logger
	// IdleTimeout is how long a peer may take to send its request, to take the next 128 KiB of an answer, or to send the next byte of
	// a push. 0 is 30 s.
	IdleTimeout time.Duration
}

// Provider serves the blobs of a store. It may serve any number of connections at once.
type Provider struct {
	cfg      Config
	gate     *gate
	quota    *quota
	pushers  map[key.EndpointID]bool
	numbers  atomic.Uint64       // of connections
	requests atomic.Int64        // bytes of requests beyond smallRequest each, of all connections
	making   *semaphore.Weighted // bytes of encoders
	sending  *semaphore.Weighted // bytes of outboxes, and of pushes
	buffers  sync.Pool           // *outbox.Buffer
	encoders sync.Pool           // *bao.Encoder
}

// Acceptor is what a provider uses of a connection; *iroh.Conn has it.
type Acceptor interface {
	AcceptStream(ctx context.Context) (*quic.Stream, error)
	CloseWithError(code uint64, reason string) error
	RemoteID() key.EndpointID
}

// New returns a provider for the blobs of cfg.Store.
func New(cfg Config) *Provider {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdle
	}
	cfg.Limits = cfg.Limits.withDefaults()
	p := &Provider{
		cfg: cfg, gate: newGate(cfg.Limits), pushers: make(map[key.EndpointID]bool),
		quota: &quota{store: cfg.Store, limit: cfg.Push.Quota},
	}
	for _, peer := range cfg.Push.Peers {
		p.pushers[peer] = true
	}
	memory := max(cfg.Limits.Memory, leastMemory)
	if cfg.Limits.Memory < 0 {
		memory = math.MaxInt64
	}
	p.making = semaphore.NewWeighted(memory / 4 * 3)
	p.sending = semaphore.NewWeighted(memory / 4)
	p.buffers.New = func() any { return new(outbox.Buffer) }
	p.encoders.New = func() any { return new(bao.Encoder) }
	return p
}

// Serve answers the requests on a connection until it ends or ctx does, and returns when the last answer has ended. A
// connection that the peer closes with code 0, or that idles out, is no error. The caller closes the connection, except that one
// above the limits is closed at once: [ErrLimit].
func (p *Provider) Serve(ctx context.Context, conn Acceptor) (err error) {
	start, peer := time.Now(), conn.RemoteID()
	c := &connection{
		provider: p, peer: peer, number: p.numbers.Add(1),
		streams: make(places, maxStreams), answers: make(places, maxLong),
	}
	if c.share = p.gate.connect(peer); c.share == nil {
		c.event(Event{Kind: Refused, Stream: -1, Err: ErrLimit})
		return errors.Join(ErrLimit, conn.CloseWithError(wire.CodeLimit, "limit"))
	}
	defer p.gate.disconnect(peer, c.share)
	c.event(Event{Kind: Connected, Stream: -1})
	defer func() { c.event(Event{Kind: Disconnected, Stream: -1, Took: time.Since(start), Err: err}) }()
	for _, m := range []*meter{&c.sends, &c.takes} {
		m.rate, m.window = p.cfg.Limits.MinRate, p.cfg.IdleTimeout
	}
	return c.serve(ctx, conn)
}

// serve answers the streams of a connection.
func (c *connection) serve(ctx context.Context, conn Acceptor) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for {
		if err := c.streams.take(ctx); err != nil {
			return err
		}
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return acceptError(ctx, err)
		}
		running.Go(func() {
			defer c.streams.give()
			a := &answer{connection: c, stream: stream}
			if errors.Is(a.run(ctx), errSlow) {
				// A requester writes its request in one go. One that does not is broken or wants to hold us.
				_ = conn.CloseWithError(wire.CodeLimit, "limit")
			}
		})
	}
}

// acceptError tells the usual ends of a connection from others.
func acceptError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.ErrorCode == wire.CodeDropped {
		return nil
	}
	var idle *quic.IdleTimeoutError
	if errors.As(err, &idle) {
		return nil
	}
	return fmt.Errorf("blobs: connection: %w", err)
}
