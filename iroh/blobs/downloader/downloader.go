// Package downloader brings blobs and hash sequences from one or many providers into a store, going on where an earlier download was cut.
//
// The way of a download, from top to bottom:
//
//	downloader.go   Fetch: what is to be had, and from whom
//	sequence.go     a hash sequence, then its children in batches
//	blob.go         one blob, split in spans where there are several streams
//	pool.go, peer.go   the providers: dialed, asked, watched, replaced; package internal/plan says what each is asked for
//	renew.go        a provider of which nothing comes any more, dialed anew before its connection ends
//	claims.go       what a provider says it has, which the plan is told
//	receive.go      an answer, verified item by item, to package internal/landing, which stores
//
// # Trust
//
// Nobody is trusted: each pair and each group is verified as it arrives, a size is a claim until the last chunk was verified, and what a
// provider says it has is a hint. What one of them holds up, sends wrong or claims costs time and a bounded amount of memory (limits.go).
package downloader

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Dialer connects to an endpoint; *iroh.Endpoint does.
type Dialer interface {
	Dial(ctx context.Context, addr ticket.EndpointAddr, alpn string) (*iroh.Conn, error)
}

// Progress hears how a download goes on. With several providers, several blobs may be coming at the same time.
type Progress = blobs.Progress

// Stats is what a download took.
type Stats struct {
	Blobs    int           // blobs completed, the root and the metadata of a collection included
	Bytes    uint64        // bytes of blobs received and verified, each once unless it was thrown away since a size was wrong
	Received uint64        // bytes read from streams
	Requests int           // streams opened
	Took     time.Duration // from beginning to end

	Providers []ProviderStats // in the order in which they were given; those that were not tried are all zero but for the id
}

// ProviderStats is what one provider gave to a download.
type ProviderStats struct {
	ID          key.EndpointID
	Bytes       uint64 // bytes of blobs received and verified, and not had from another before
	Duplicate   uint64 // bytes of blobs received and verified that another had given meanwhile
	Received    uint64 // bytes read from streams
	Requests    int    // streams opened: messages that were sent
	Connections int    // connections made
	Failures    int    // requests and dials that failed
	Err         error  // why it was given up, or the last failure; nil when there was none
}

// Config is what a downloader needs. Store is required, Endpoint for [Downloader.Fetch].
type Config struct {
	Store    *store.Store
	Endpoint Dialer
	// Logger gets retries at debug level; nil logs nothing.
	Logger *slog.Logger
	// StallTimeout is how long to wait for the next byte of the only provider. 0 is 30 s. One that sends nothing for a tenth of that,
	// or far less than it did before, is replaced when there is another.
	StallTimeout time.Duration
	// SilenceTimeout is for how long no packet may come from a provider that is asked for something before it is dialed anew, beside the
	// connection. 0 is 10 s, twice the KeepAlive of an endpoint: after less of it nothing would be wrong.
	SilenceTimeout time.Duration
	// MaxHashSeq is the largest hash sequence that is taken, in bytes. 0 is 32 MiB.
	MaxHashSeq uint64
	// MaxChildren is how many children a hash sequence may have. 0 is 1,000,000.
	MaxChildren int
}

// Downloader fetches blobs and hash sequences into a store. It is safe for concurrent use.
type Downloader struct {
	cfg Config
}

// New returns a downloader into cfg.Store.
func New(cfg Config) *Downloader {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = defaultIdle
	}
	if cfg.SilenceTimeout == 0 {
		cfg.SilenceTimeout = defaultSilence
	}
	if cfg.MaxHashSeq == 0 {
		cfg.MaxHashSeq = maxHashSeq
	}
	if cfg.MaxChildren == 0 {
		cfg.MaxChildren = maxChildren
	}
	return &Downloader{cfg}
}

// Fetch brings a blob, or with [ticket.HashSeq] a hash sequence and all its children, from the providers into the store: one or many
// of them, the preferred first; of an address the id may be enough.
// What is there already is not asked for; what arrives is verified, then stored, so that a fetch that was interrupted in any way
// goes on where it was. A connection that is lost or silent is dialed again, and what a provider cannot give under load is
// asked for again, as long as something new arrives. progress may be nil.
//
// Of several providers up to 16 are asked at a time, each for as much as it is fast. One that fails, falls silent or slows down is replaced, what
// came from it stays; one of which something does not verify is not asked again.
//
// Errors: [ErrNotFound], [ErrTruncated], [ErrStalled], [ErrRefused], [ErrTooLarge], [ErrHashSeq], [ErrSize], [bao.ErrHashMismatch] (a
// *[bao.MismatchError] with the offset), those of the store and of dialing, and those of ctx; of several providers those of all of
// them, joined; [ErrNoProvider] when there is none. Blobs that were completed
// before the error stay, as do the verified groups of one that was not. Groups from a provider of which another
// group does not verify stay only if the size is proven, or if some were there before.
// Complete blobs are durable after the store's next Sync.
func (d *Downloader) Fetch(ctx context.Context, from []ticket.EndpointAddr, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	var peers []*peer
	for _, addr := range from {
		peers = append(peers, &peer{id: addr.ID, dial: func(ctx context.Context) (*link, error) {
			conn, err := d.cfg.Endpoint.Dial(ctx, addr, blobs.ALPN)
			if err != nil {
				return nil, err
			}
			leave := func() { _ = conn.CloseWithError(blobs.CodeDropped, "") }
			return &link{conn, leave, func() uint64 { return conn.Info().Received.Packets }}, nil
		}})
	}
	return d.fetch(ctx, peers, hash, format, progress)
}

// FetchFrom is [Downloader.Fetch] over a connection that is there; it stays open, and is not replaced when it is lost.
func (d *Downloader) FetchFrom(ctx context.Context, conn blobs.Opener, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	only := &peer{given: true, dial: func(context.Context) (*link, error) { return &link{conn, func() {}, nil}, nil }}
	if known, ok := conn.(interface{ RemoteID() key.EndpointID }); ok {
		only.id = known.RemoteID()
	}
	return d.fetch(ctx, []*peer{only}, hash, format, progress)
}

func (d *Downloader) fetch(ctx context.Context, peers []*peer, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	start := time.Now()
	f := newFetch(d, peers, hash, progress)
	ctx, cancel := context.WithCancel(ctx)
	f.begin(ctx)
	var err error
	if format == ticket.HashSeq {
		err = f.sequence(ctx)
	} else {
		err = f.blob(ctx, f.root, math.MaxUint64)
	}
	cancel()
	f.end()
	f.stats.Took = time.Since(start)
	return f.stats, errors.Join(err, ours(f.small.Close()))
}

// fetch is one call of Fetch.
type fetch struct {
	*Downloader
	root bao.Hash
	*pool
	small *landing.Shelf

	telling  sync.Mutex
	progress Progress
}

func newFetch(d *Downloader, peers []*peer, root bao.Hash, progress Progress) *fetch {
	if progress == nil {
		progress = silent{}
	}
	f := &fetch{Downloader: d, root: root, progress: progress, small: landing.NewShelf(d.cfg.Store)}
	f.pool = newPool(f, peers)
	return f
}

type silent struct{}

func (silent) Blob(bao.Hash, uint64, uint64) {}
func (silent) Bytes(bao.Hash, uint64)        {}

// begins tells that a blob begins.
func (f *fetch) begins(hash bao.Hash, size, have uint64) {
	f.telling.Lock()
	defer f.telling.Unlock()
	f.progress.Blob(hash, size, have)
}

// came tells that bytes of a blob have come.
func (f *fetch) came(hash bao.Hash, n uint64) {
	f.telling.Lock()
	defer f.telling.Unlock()
	f.progress.Bytes(hash, n)
}
