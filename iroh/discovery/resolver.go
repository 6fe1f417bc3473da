package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// ResolverConfig says whom a resolver asks and how long it remembers. Everything may be left zero.
type ResolverConfig struct {
	// Sources are asked at once; what the first ones say comes first in the merged record.
	Sources []Source
	// Timeout is how long a lookup waits for its slowest source; zero is [DefaultTimeout].
	Timeout time.Duration
	// Fresh is how long an answer is used without asking again; zero is [DefaultFresh].
	Fresh time.Duration
	// MaxAge is how long an answer is kept for the case that no source answers; zero is [DefaultMaxAge].
	MaxAge time.Duration
	// Negative is how long it is believed that nobody knows an endpoint; zero is [DefaultNegative].
	Negative time.Duration
	// Entries bounds the endpoints that are remembered; zero is [DefaultEntries].
	Entries int
	// Logger gets each source's failures at debug level; nil drops them.
	Logger *slog.Logger
}

func (c ResolverConfig) filled() ResolverConfig {
	for value, or := range map[*time.Duration]time.Duration{
		&c.Timeout: DefaultTimeout, &c.Fresh: DefaultFresh, &c.MaxAge: DefaultMaxAge, &c.Negative: DefaultNegative,
	} {
		if *value <= 0 {
			*value = or
		}
	}
	if c.Entries <= 0 {
		c.Entries = DefaultEntries
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// ErrBusy says that 512 lookups run already.
var ErrBusy = errors.New("discovery: too many lookups at once, try again")

// Resolver finds endpoints through many sources. It is safe for concurrent use; lookups of one endpoint share their
// queries. Close ends it.
type Resolver struct {
	cfg    ResolverConfig
	ctx    context.Context // of all lookups
	cancel context.CancelFunc
	wg     sync.WaitGroup // lookups

	mu      sync.Mutex
	closed  bool
	known   map[key.EndpointID]*entry
	running int // lookups
}

// An entry is what is known of one endpoint. All fields are guarded by the resolver's mutex.
type entry struct {
	parts    []part    // what each source said last, in the order of the sources
	used     time.Time // when it was last asked for
	notFound time.Time // when a lookup last ended without an answer; zero after one that had some
	err      error     // of that lookup
	lookup   *lookup   // the one that runs; nil for none
}

// A part is what one source said.
type part struct {
	rec record.Record
	at  time.Time // zero: it never said anything
}

// NewResolver returns a resolver; it asks nobody before it is asked.
func NewResolver(cfg ResolverConfig) *Resolver {
	r := &Resolver{cfg: cfg.filled(), known: make(map[key.EndpointID]*entry)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close ends all lookups and waits for them.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	return nil
}

// Resolve returns where an endpoint may be reached: what is remembered while it is fresh, otherwise what the quickest
// sources say. The slower ones are still waited for behind its back, so that a later call knows more; [Resolver.Follow]
// sees it at once. The error matches [ErrNotFound] when no source knows the endpoint; it is otherwise the sources' own,
// [ErrBusy], [ErrClosed] or that of ctx.
func (r *Resolver) Resolve(ctx context.Context, id key.EndpointID) (ticket.EndpointAddr, error) {
	rec, err := r.Lookup(ctx, id)
	return rec.Addr, err
}

// Lookup is Resolve with all that the sources say.
func (r *Resolver) Lookup(ctx context.Context, id key.EndpointID) (record.Record, error) {
	r.mu.Lock()
	e, err := r.begin(id)
	if err != nil || e.lookup == nil || r.youngest(e, time.Now()) < r.cfg.Fresh {
		defer r.mu.Unlock()
		if err != nil {
			return record.Record{}, err
		}
		return r.answer(e)
	}
	l := e.lookup
	var enough <-chan time.Time
	if _, err := r.answer(e); err == nil {
		// An old answer is better than a long wait for sources that hang.
		timer := time.NewTimer(stalePatience)
		defer timer.Stop()
		enough = timer.C
	}
	r.mu.Unlock()
	select {
	case <-l.first:
	case <-l.done:
	case <-enough:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.answer(e)
	case <-ctx.Done():
		return record.Record{}, fmt.Errorf("discovery: %w", context.Cause(ctx))
	}
	if err := l.settle(ctx); err != nil {
		return record.Record{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer(e)
}

// Follow calls found with the merged record of an endpoint as soon as there is one and each time when a source has
// added to it, until all sources have answered, found returns false, or ctx ends. The error is that of [Resolver.Lookup]
// when there was no record, otherwise nil.
func (r *Resolver) Follow(ctx context.Context, id key.EndpointID, found func(ticket.EndpointAddr) bool) error {
	r.mu.Lock()
	e, err := r.begin(id)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	l := e.lookup
	r.mu.Unlock()
	var last record.Record
	for ended := l == nil; ; {
		var changed <-chan struct{}
		r.mu.Lock()
		rec, err := r.answer(e)
		if l != nil {
			changed = l.changed
		}
		r.mu.Unlock()
		if err == nil && !rec.Equal(last) {
			last = rec
			if !found(rec.Clone().Addr) {
				return nil
			}
		}
		if ended && last.Empty() {
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last.Empty() {
				return fmt.Errorf("discovery: %w", context.Cause(ctx))
			}
			return nil
		}
		select {
		case <-l.done:
			ended = true
		default:
		}
	}
}

// Forget drops what is remembered of an endpoint, for a caller that could not reach it there.
func (r *Resolver) Forget(id key.EndpointID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[id]
	if e == nil {
		return
	}
	e.notFound, e.err = time.Time{}, nil
	for i := range e.parts {
		e.parts[i] = part{}
	}
}

// begin returns the entry of an endpoint, with a lookup running unless what it knows is fresh. The mutex is held.
func (r *Resolver) begin(id key.EndpointID) (*entry, error) {
	if r.closed {
		return nil, ErrClosed
	}
	now := time.Now()
	e := r.known[id]
	if e == nil {
		r.evict()
		e = &entry{parts: make([]part, len(r.cfg.Sources))}
		r.known[id] = e
	}
	e.used = now
	if e.lookup != nil || now.Sub(e.notFound) < r.cfg.Negative || r.youngest(e, now) < r.cfg.Fresh {
		return e, nil
	}
	if len(r.cfg.Sources) == 0 {
		e.err = ErrNotFound
		return e, nil
	}
	if r.running >= maxLookups {
		return nil, ErrBusy
	}
	r.running++
	e.lookup = newLookup()
	r.wg.Go(func() { r.run(id, e, e.lookup) })
	return e, nil
}

// youngest is the age of the latest part; beyond any limit where there is none.
func (r *Resolver) youngest(e *entry, now time.Time) time.Duration {
	age := r.cfg.Fresh + r.cfg.MaxAge
	for _, p := range e.parts {
		if !p.at.IsZero() {
			age = min(age, now.Sub(p.at))
		}
	}
	return age
}

// answer merges what the entry's sources said. The mutex is held.
func (r *Resolver) answer(e *entry) (record.Record, error) {
	now := time.Now()
	var merged record.Record
	// What was said just now comes before what is only remembered, since addresses change.
	for _, fresh := range []bool{true, false} {
		for _, p := range e.parts {
			age := now.Sub(p.at)
			if p.at.IsZero() || age > r.cfg.MaxAge || (age < r.cfg.Fresh) != fresh {
				continue
			}
			if merged.ID().IsZero() {
				merged = p.rec.Clone()
			} else {
				merged = merged.Merge(p.rec)
			}
		}
		if !merged.Empty() {
			return merged, nil
		}
	}
	if e.err != nil {
		return record.Record{}, e.err
	}
	return record.Record{}, ErrNotFound
}

// evict makes room for one entry: the one that was not asked for the longest goes. One with a lookup stays; these are
// bounded themselves. The mutex is held.
func (r *Resolver) evict() {
	if len(r.known) < r.cfg.Entries {
		return
	}
	var oldest key.EndpointID
	var at time.Time
	for id, e := range r.known {
		if e.lookup == nil && (at.IsZero() || e.used.Before(at)) {
			oldest, at = id, e.used
		}
	}
	delete(r.known, oldest)
}
