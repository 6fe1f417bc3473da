package blobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Dialer connects to an endpoint; *iroh.Endpoint does.
type Dialer interface {
	Dial(ctx context.Context, addr ticket.EndpointAddr, alpn string) (*iroh.Conn, error)
}

// Progress hears how a download goes on. Calls come one at a time and must not block.
type Progress interface {
	// Blob says that a blob begins, or goes on after an interruption. size is what the provider claims it to be, have
	// how many bytes of it are there already.
	Blob(hash bao.Hash, size, have uint64)
	// Bytes says that n more bytes were received and verified.
	Bytes(n uint64)
}

// Stats is what a download took.
type Stats struct {
	Blobs    int           // blobs completed, the root and the metadata of a collection included
	Bytes    uint64        // bytes of blobs received and verified, each once
	Received uint64        // bytes read from streams
	Requests int           // streams opened
	Took     time.Duration // from beginning to end

	Providers []ProviderStats // in the order in which they were given; those that were not tried are all zero but for the id

	dialed int
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

// DownloaderConfig is what a downloader needs. Store is required, Endpoint for [Downloader.Fetch].
type DownloaderConfig struct {
	Store    *store.Store
	Endpoint Dialer
	// Logger gets retries at debug level; nil logs nothing.
	Logger *slog.Logger
	// StallTimeout is how long to wait for the next byte. 0 is 30 s.
	StallTimeout time.Duration
	// MaxHashSeq is the largest hash sequence that is taken, in bytes. 0 is 32 MiB.
	MaxHashSeq uint64
	// MaxChildren is how many children a hash sequence may have. 0 is 1,000,000.
	MaxChildren int
}

// Downloader fetches blobs and hash sequences into a store. It is safe for concurrent use.
type Downloader struct {
	cfg DownloaderConfig
}

// NewDownloader returns a downloader into cfg.Store.
func NewDownloader(cfg DownloaderConfig) *Downloader {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = defaultIdle
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
// of them, the preferred first; of an address the id may be enough. When one fails the next goes on.
// What is there already is not asked for; what arrives is verified, then stored, so that a fetch that was interrupted in any way
// goes on where it was. A lost connection is dialed again, and what a provider cannot give under load is
// asked for again, as long as something new arrives. progress may be nil.
//
// Errors: [ErrNotFound], [ErrTruncated], [ErrStalled], [ErrRefused], [ErrTooLarge], [ErrHashSeq], [ErrSize], [bao.ErrHashMismatch] (a
// *[bao.MismatchError] with the offset), those of the store and of dialing, and those of ctx; of several providers those of all of
// them, joined; [ErrNoProvider] when there is none. Blobs that were completed
// before the error stay, as do the verified groups of one that was not. Groups from a provider of which another
// group does not verify stay only if it can prove the size, or if some were there before.
// Complete blobs are durable after the store's next Sync.
func (d *Downloader) Fetch(ctx context.Context, from []ticket.EndpointAddr, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	var all Stats
	for _, addr := range from {
		all.Providers = append(all.Providers, ProviderStats{ID: addr.ID})
	}
	start := time.Now()
	err := error(ErrNoProvider)
	var failures []error
	for i, addr := range from {
		stats, failed := d.fetchOne(ctx, addr, hash, format, progress)
		all.add(i, stats, failed)
		if err = failed; err == nil || ctx.Err() != nil {
			break
		}
		failures = append(failures, failed)
		err = errors.Join(failures...)
	}
	all.Took = time.Since(start)
	return all, err
}

// add counts what the provider with that number gave.
func (s *Stats) add(number int, of Stats, err error) {
	s.Blobs += of.Blobs
	s.Bytes += of.Bytes
	s.Received += of.Received
	s.Requests += of.Requests
	p := &s.Providers[number]
	p.Bytes, p.Received, p.Requests, p.Connections = of.Bytes, of.Received, of.Requests, of.dialed
	if p.Err = err; err != nil {
		p.Failures++
	}
}

// fetchOne is Fetch with one provider.
func (d *Downloader) fetchOne(ctx context.Context, addr ticket.EndpointAddr, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	f := d.newFetch(hash, progress)
	f.dial = func(ctx context.Context) (Opener, func(), error) {
		conn, err := d.cfg.Endpoint.Dial(ctx, addr, ALPN)
		if err != nil {
			return nil, nil, err
		}
		f.stats.dialed++
		return conn, func() { _ = conn.CloseWithError(CodeDropped, "") }, nil
	}
	return f.run(ctx, format)
}

// FetchFrom is [Downloader.Fetch] over a connection that is there; it stays open, and is not replaced when it is lost.
func (d *Downloader) FetchFrom(ctx context.Context, conn Opener, hash bao.Hash, format ticket.Format, progress Progress) (Stats, error) {
	f := d.newFetch(hash, progress)
	f.conn = conn
	return f.run(ctx, format)
}

// fetch is one call of Fetch.
type fetch struct {
	*Downloader
	root     bao.Hash
	progress Progress
	stats    Stats

	dial      func(context.Context) (Opener, func(), error) // nil: conn is all there is
	conn      Opener                                        // nil: to be dialed
	closeConn func()
}

func (d *Downloader) newFetch(root bao.Hash, progress Progress) *fetch {
	if progress == nil {
		progress = silent{}
	}
	return &fetch{Downloader: d, root: root, progress: progress, closeConn: func() {}}
}

type silent struct{}

func (silent) Blob(bao.Hash, uint64, uint64) {}
func (silent) Bytes(uint64)                  {}

func (f *fetch) run(ctx context.Context, format ticket.Format) (Stats, error) {
	start := time.Now()
	defer func() { f.closeConn() }()
	var err error
	if format == ticket.HashSeq {
		err = f.sequence(ctx)
	} else {
		err = f.blob(ctx, f.root, math.MaxUint64)
	}
	f.stats.Took = time.Since(start)
	return f.stats, err
}

// get sends a request, dialing if need be.
func (f *fetch) get(ctx context.Context, request GetRequest) (*Response, error) {
	if f.conn == nil {
		conn, closeConn, err := f.dial(ctx)
		switch {
		case err == nil:
		case f.stats.Requests > 0: // it was reached before
			return nil, fmt.Errorf("%w: %w", errLost, err)
		default:
			return nil, err
		}
		f.conn, f.closeConn = conn, closeConn
	}
	f.stats.Requests++
	return Get(ctx, f.conn, request, f.cfg.StallTimeout)
}

// retry repeats a step until it says that it is done, or fails in a way that repeating does not mend, or has failed maxAttempts times in
// a row without receiving anything new.
func (f *fetch) retry(ctx context.Context, step func(ctx context.Context) (done bool, err error)) error {
	delay := retryDelay
	for attempts := 0; ; {
		before := f.stats.Bytes
		done, err := step(ctx)
		switch {
		case done:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		lost := errors.Is(err, errLost)
		if lost && f.dial != nil {
			f.closeConn()
			f.conn, f.closeConn = nil, func() {}
		}
		if f.stats.Bytes > before {
			attempts, delay = 0, retryDelay
			if err == nil {
				continue
			}
		}
		attempts++
		// Somebody else may be fetching the same blob, or have it now.
		busy := errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrComplete)
		again := err == nil || busy || lost && f.dial != nil || errors.Is(err, errReset) || errors.Is(err, ErrTruncated)
		if !again || attempts >= maxAttempts && !busy {
			return err
		}
		f.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "blobs: trying again",
			slog.String("hash", f.root.ShortString()), slog.Int("attempt", attempts), slog.Any("err", err))
		if err := pause(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, maxDelay)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// blob fetches what is missing of one blob, which must not claim more than limit bytes.
func (f *fetch) blob(ctx context.Context, hash bao.Hash, limit uint64) error {
	return f.retry(ctx, func(ctx context.Context) (bool, error) {
		want, err := f.missing(ctx, hash)
		if err != nil || want.ranges.IsEmpty() {
			return true, err
		}
		response, err := f.get(ctx, GetRequest{Hash: hash, Ranges: OneBlob(want.ranges)})
		if err != nil {
			return false, err
		}
		defer response.Close()
		response.Next()
		small := newShelf(ctx, f.cfg.Store)
		err = f.receive(ctx, response, want, limit, small)
		return false, errors.Join(err, small.close())
	})
}

// wanted is what is to be asked for of one blob.
type wanted struct {
	index  uint32 // of the child; of no meaning for a root
	hash   bao.Hash
	ranges bao.Ranges // empty: nothing
	size   uint64     // claimed for what is there; 0 when nothing is
	have   uint64     // bytes that are there
	fresh  bool       // nothing is there, and all is asked for
}

// perGroup is the number of chunks in a group.
const perGroup = bao.GroupSize / bao.ChunkSize

// missing tells what of a blob is not in the store, at most maxSpans spans of it.
func (f *fetch) missing(ctx context.Context, hash bao.Hash) (wanted, error) {
	want := wanted{hash: hash}
	status, err := f.cfg.Store.Status(hash)
	switch {
	case err != nil:
		return want, fmt.Errorf("blobs: %w", err)
	case status.State == store.Complete:
		return want, nil
	case status.State == store.Missing:
		want.ranges, want.fresh = bao.All(), true
		return want, nil
	}
	want.size = status.Size
	chunks := max(1, (status.Size+bao.ChunkSize-1)/bao.ChunkSize)
	want.ranges = bao.Span(0, chunks).Subtract(status.Ranges)
	if want.ranges.IsEmpty() {
		return f.complete(ctx, want)
	}
	for i := 0; i+1 < len(status.Ranges); i += 2 {
		want.have += min(status.Ranges[i+1]*bao.ChunkSize, status.Size) - status.Ranges[i]*bao.ChunkSize
	}
	if last := &want.ranges[len(want.ranges)-1]; *last == chunks {
		// To the end of the last group, should the blob be longer than was claimed: only whole groups can be stored.
		*last = (chunks + perGroup - 1) / perGroup * perGroup
	}
	if len(want.ranges) > 2*maxSpans {
		want.ranges = want.ranges[:2*maxSpans]
	}
	return want, nil
}

// complete publishes a blob of which all groups are there: a crash came between the last of them and that. Should pairs be
// missing all the same, everything is wanted.
func (f *fetch) complete(ctx context.Context, want wanted) (wanted, error) {
	download, err := f.cfg.Store.Download(want.hash, want.size)
	if err == nil {
		err = errors.Join(download.Complete(ctx), download.Close())
	}
	switch {
	case errors.Is(err, store.ErrIncomplete):
		want.ranges = bao.All()
	case err != nil:
		return want, fmt.Errorf("blobs: %s: %w", want.hash.ShortString(), err)
	}
	return want, nil
}
