package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// A lookup asks all sources once. Its channels are closed by run alone.
type lookup struct {
	first   chan struct{} // closed when the first source has found something
	done    chan struct{} // closed when all sources have answered
	changed chan struct{} // closed and replaced when a source has found something; guarded by the resolver's mutex
}

func newLookup() *lookup {
	return &lookup{first: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{})}
}

// settle waits a moment after the first answer, for one that is just as quick.
func (l *lookup) settle(ctx context.Context) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	case <-ctx.Done():
		return fmt.Errorf("discovery: %w", context.Cause(ctx))
	}
	return nil
}

// found is what one source answered.
type found struct {
	source int
	rec    record.Record
	err    error
}

// run asks the sources and stores what they say.
func (r *Resolver) run(id key.EndpointID, e *entry, l *lookup) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	answers := make(chan found)
	for i, source := range r.cfg.Sources {
		r.wg.Go(func() {
			rec, err := source.Resolve(ctx, id)
			answers <- found{i, rec, err}
		})
	}
	var failures []error
	any := false
	for range r.cfg.Sources {
		f := <-answers
		rec := f.rec.Usable()
		name := r.cfg.Sources[f.source].Name()
		switch {
		case f.err == nil && rec.ID() == id && !rec.Empty():
			r.store(e, l, f.source, rec)
			if !any {
				close(l.first)
			}
			any = true
		case f.err == nil || errors.Is(f.err, ErrNotFound):
			// It works and does not know: what it said before is no longer so.
			r.store(e, nil, f.source, record.Record{})
		default:
			failures = append(failures, fmt.Errorf("%s: %w", name, f.err))
			r.cfg.Logger.Debug("discovery source failed", "source", name, "peer", id.ShortString(), "err", f.err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.notFound, e.err = time.Time{}, nil
	if !any {
		e.notFound, e.err = time.Now(), fmt.Errorf("%w: %s", ErrNotFound, r.asked())
		if len(failures) > 0 {
			e.err = fmt.Errorf("discovery: no source found %s: %w", id.ShortString(), errors.Join(failures...))
		}
	}
	e.lookup = nil
	r.running--
	close(l.changed)
	close(l.done)
}

// asked says who did not know, or what to do when there was nobody to ask.
func (r *Resolver) asked() string {
	var names []string
	for _, s := range r.cfg.Sources {
		if _, told := s.(*Static); !told {
			names = append(names, s.Name())
		}
	}
	if len(names) == 0 {
		return "nothing is configured to look ids up; name an address, by a ticket that has one"
	}
	return "asked " + strings.Join(names, ", ")
}

// store keeps what a source said, and wakes who waits on l.
func (r *Resolver) store(e *entry, l *lookup, source int, rec record.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.parts[source] = part{}
	if l == nil {
		return
	}
	e.parts[source] = part{rec, time.Now()}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Answer is what one source said, and how long it took.
type Answer struct {
	Source string
	Record record.Record
	Err    error // matches ErrNotFound when the source works and does not know the endpoint
	Took   time.Duration
}

// Ask asks every source anew and returns what each said, in the order of the sources, once all have answered or ctx
// ends. It neither uses nor changes what is remembered: it is for whoever wants to know which sources work.
func (r *Resolver) Ask(ctx context.Context, id key.EndpointID) []Answer {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	out := make([]Answer, len(r.cfg.Sources))
	var wg sync.WaitGroup
	for i, source := range r.cfg.Sources {
		wg.Go(func() {
			start := time.Now()
			rec, err := source.Resolve(ctx, id)
			out[i] = Answer{Source: source.Name(), Record: rec.Usable(), Err: err, Took: time.Since(start)}
		})
	}
	wg.Wait()
	return out
}
