package discovery

import (
	"context"
	"errors"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// The public services of n0, the makers of iroh, which iroh 1.4 uses by default.
const (
	N0PkarrRelay = "https://dns.iroh.link/pkarr"
	N0Origin     = "dns.iroh.link."
)

// ErrNotFound says that a source works and does not know the endpoint.
var ErrNotFound = errors.New("discovery: no address known for this endpoint")

// ErrClosed says that a resolver or publisher was closed.
var ErrClosed = errors.New("discovery: closed")

// Source answers where an endpoint may be reached. Implementations are safe for concurrent use.
type Source interface {
	// Name is a short word for logs and status, such as "dns".
	Name() string
	// Resolve returns what the source knows of an endpoint, waiting until ctx ends where waiting may help. The error
	// matches [ErrNotFound] when the source has nothing.
	Resolve(ctx context.Context, id key.EndpointID) (record.Record, error)
}

// Sink takes what our own endpoint says of itself. Publish is called by one goroutine at a time.
type Sink interface {
	// Name is a short word for logs and status.
	Name() string
	// Publish makes a record known in the place of the one before. It is called again with the same record from time to
	// time, and after an error.
	Publish(ctx context.Context, r record.Record) error
}
