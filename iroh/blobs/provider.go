package blobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
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

// ProviderConfig is what a provider needs. Store is required.
type ProviderConfig struct {
	Store *store.Store
	// Policy may be nil: everything is allowed.
	Policy Policy
	// Logger gets one debug record for each request; nil logs nothing.
	Logger *slog.Logger
	// IdleTimeout is how long a peer may take to send its request or to take the next 128 KiB of an answer. 0 is 30 s.
	IdleTimeout time.Duration
}

// Provider serves the blobs of a store. It may serve any number of connections at once.
type Provider struct {
	cfg      ProviderConfig
	buffers  sync.Pool // *outbox.Buffer
	encoders sync.Pool // *bao.Encoder
}

// Acceptor is what a provider uses of a connection; *iroh.Conn has it.
type Acceptor interface {
	AcceptStream(ctx context.Context) (*quic.Stream, error)
	CloseWithError(code uint64, reason string) error
	RemoteID() key.EndpointID
}

// NewProvider returns a provider for the blobs of cfg.Store.
func NewProvider(cfg ProviderConfig) *Provider {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdle
	}
	p := &Provider{cfg: cfg}
	p.buffers.New = func() any { return new(outbox.Buffer) }
	p.encoders.New = func() any { return new(bao.Encoder) }
	return p
}

// Serve answers the requests on a connection until it ends or ctx does, and returns when the last answer has ended. A
// connection that the peer closes with code 0, or that idles out, is no error. The caller closes the connection.
func (p *Provider) Serve(ctx context.Context, conn Acceptor) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	c := &connection{
		provider: p, peer: conn.RemoteID(),
		streams: make(places, maxStreams), answers: make(places, maxLong),
	}
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
				_ = conn.CloseWithError(CodeLimit, "limit")
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
	if errors.As(err, &closed) && closed.ErrorCode == CodeDropped {
		return nil
	}
	var idle *quic.IdleTimeoutError
	if errors.As(err, &idle) {
		return nil
	}
	return fmt.Errorf("blobs: connection: %w", err)
}
