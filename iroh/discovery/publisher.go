package discovery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// PublisherConfig says where our own record goes. Everything but Sinks may be left zero.
type PublisherConfig struct {
	// Sinks take the record, each in its own time.
	Sinks []Sink
	// Republish is how often the record is published though it has not changed; zero is [DefaultRepublish].
	Republish time.Duration
	// UserData is published beside the addresses, at most record.MaxUserData bytes.
	UserData string
	// Logger gets each failure as a warning; nil drops them.
	Logger *slog.Logger
}

// Publisher makes our own endpoint be found. It is safe for concurrent use. Close ends it.
type Publisher struct {
	cfg    PublisherConfig
	cancel context.CancelFunc
	wg     sync.WaitGroup // one goroutine for each sink

	mu      sync.Mutex
	rec     record.Record
	changed chan struct{} // closed and replaced when rec changes
	status  []SinkStatus
}

// SinkStatus says how publishing to one sink goes.
type SinkStatus struct {
	Sink      string    // its name
	Published time.Time // when it last took a record; zero for never
	Failures  int       // in a row since then
	Err       error     // of the last failure; nil after a success
}

// NewPublisher returns a publisher that has nothing to say before the first [Publisher.Update].
func NewPublisher(cfg PublisherConfig) *Publisher {
	if cfg.Republish <= 0 {
		cfg.Republish = DefaultRepublish
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{cfg: cfg, changed: make(chan struct{}), status: make([]SinkStatus, len(cfg.Sinks))}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for i, sink := range cfg.Sinks {
		p.status[i].Sink = sink.Name()
		p.wg.Go(func() { p.run(ctx, i, sink) })
	}
	return p
}

// Update says that our own address is now addr. It returns at once; nothing is sent when nothing has changed.
func (p *Publisher) Update(addr ticket.EndpointAddr) {
	rec := record.Record{Addr: addr, UserData: p.cfg.UserData}.Clone()
	p.mu.Lock()
	defer p.mu.Unlock()
	if rec.Equal(p.rec) {
		return
	}
	p.rec = rec
	close(p.changed)
	p.changed = make(chan struct{})
}

// Status says how publishing goes, in the order of the sinks.
func (p *Publisher) Status() []SinkStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]SinkStatus(nil), p.status...)
}

// Close ends publishing and waits for it. What was published stays where it is until it expires there.
func (p *Publisher) Close() error {
	p.cancel()
	p.wg.Wait()
	return nil
}

// current returns the record, and a channel that is closed when it is no longer that.
func (p *Publisher) current() (record.Record, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rec.Clone(), p.changed
}

// run publishes to one sink until ctx ends.
func (p *Publisher) run(ctx context.Context, index int, sink Sink) {
	timer := time.NewTimer(p.cfg.Republish)
	defer timer.Stop()
	for ctx.Err() == nil {
		rec, changed := p.current()
		if !rec.ID().IsZero() {
			timer.Reset(p.publish(ctx, index, sink, rec))
		}
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// publish makes one attempt and returns when to make the next.
func (p *Publisher) publish(ctx context.Context, index int, sink Sink, rec record.Record) time.Duration {
	attempt, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := sink.Publish(attempt, rec)
	if ctx.Err() != nil {
		return p.cfg.Republish
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status[index]
	s.Err = err
	if err == nil {
		s.Failures, s.Published = 0, time.Now()
		return p.cfg.Republish
	}
	s.Failures++
	retry := min(time.Duration(s.Failures)*retryStep, p.cfg.Republish)
	p.cfg.Logger.Warn("publishing our address failed", "sink", s.Sink, "err", err, "failures", s.Failures, "retry", retry)
	return retry
}
