package host

import (
	"context"
	"errors"
	"sync"

	"github.com/ipfs/boxo/provider"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/dual"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

// contentRouting is what we use of a DHT.
type contentRouting interface {
	routing.ContentRouting
	Bootstrap(ctx context.Context) error
	Close() error
}

// router is a DHT and the queue of what is to be announced on it.
type router struct {
	dht   contentRouting
	queue provider.System

	mu     sync.RWMutex // held while something is queued: the queue does not bear being closed then
	closed bool
}

func newRouter(h host.Host, bootstrap []peer.AddrInfo, cfg Config) (*router, error) {
	d, err := newDHT(h, bootstrap, cfg)
	if err != nil {
		return nil, err
	}
	// The queue lives in memory: after a restart Roots lists what there is.
	options := []provider.Option{
		provider.Online(d),
		provider.ProvideWorkerCount(provideWorkers),
		provider.MaxBatchSize(maxProvideBatch),
	}
	if cfg.Roots != nil && !cfg.Quiet {
		options = append(options, provider.KeyProvider(cfg.Roots))
	}
	q, err := provider.New(dssync.MutexWrap(datastore.NewMapDatastore()), options...)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	r := &router{dht: d, queue: q}
	if err := d.Bootstrap(context.Background()); err != nil { // starts it; does not wait
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// newDHT makes the DHT: for the public network the Amino DHT and its twin for
// private addresses, each a client or a server as the host can be reached; for a
// local host only the twin, with whatever addresses its peers have. A quiet host
// is a client always.
func newDHT(h host.Host, bootstrap []peer.AddrInfo, cfg Config) (contentRouting, error) {
	mode := dht.ModeAuto
	switch {
	case cfg.Quiet:
		mode = dht.ModeClient
	case cfg.Local:
		mode = dht.ModeServer
	}
	if cfg.Local {
		return dht.New(h, dht.Mode(mode), dht.ProtocolExtension(dual.LanExtension), dht.BootstrapPeers(bootstrap...))
	}
	return dual.New(h, dual.DHTOption(dht.Mode(mode)), dual.WanDHTOption(dht.BootstrapPeers(bootstrap...)))
}

// provide queues a CID to be announced.
func (r *router) provide(ctx context.Context, c cid.Cid) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return errors.New("the host is closed")
	}
	return r.queue.Provide(ctx, c, true)
}

func (r *router) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return errors.Join(r.queue.Close(), r.dht.Close())
}
