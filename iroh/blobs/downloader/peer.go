package downloader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/silence"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// state is what a provider is about.
type state uint8

const (
	reserve     state = iota // not in use
	dialing                  // being dialed
	dialingLong              // likewise, for so long that another one takes its place meanwhile, or waiting to be dialed again
	connected                // there is a connection
	dead                     // given up for this fetch
)

// peer is one provider of a fetch.
type peer struct {
	fetch *fetch
	id    key.EndpointID
	dial  func(context.Context) (*link, error)
	given bool // the connection was given to us and is not replaced

	// The rest is guarded by the pool's mu.
	state       state
	since       time.Time // of dialing
	lanes       int       // streams that it is asked over at the same time
	far         bool      // it takes several to fetch one blob from it
	worker      *plan.Worker
	rate        float64          // bytes per second and stream, by the jobs before
	observing   bool             // it is being asked what it has, and has not answered yet
	claim       *blobs.Available // the newest that was not looked at
	asked       int              // tasks under way
	failed      int              // in a row, with nothing that came between
	delay       time.Duration
	pausedUntil time.Time
	link        *link // the connection, or the last one
	silence     silence.Silence
	stats       ProviderStats
	stop        context.CancelFunc // ends run
}

// run uses the provider until the fetch ends, or it is given up, or is put in reserve again.
func (p *peer) run(ctx context.Context) {
	pool := p.fetch.pool
	for {
		pool.mu.Lock()
		again, delay := p.state == dialing || p.state == dialingLong, time.Until(p.pausedUntil)
		if p.since = time.Now(); delay > 0 && again {
			p.state = dialingLong
		}
		pool.mu.Unlock()
		if !again || pause(ctx, delay) != nil {
			return
		}
		for conn := p.connect(ctx); conn != nil; {
			conn = p.session(ctx, conn)
		}
	}
}

// connect makes a connection, or takes note of why there is none.
func (p *peer) connect(ctx context.Context) *link {
	conn, err := p.dial(ctx)
	if err == nil {
		return conn
	}
	p.fetch.mu.Lock()
	defer p.fetch.mu.Unlock()
	if ctx.Err() == nil {
		p.dialFailed(err)
	}
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// session uses a connection until it is of no more use, and closes it. It returns the one that is to be used next, if there is one already.
func (p *peer) session(ctx context.Context, on *link) (next *link) {
	pool := p.fetch.pool
	defer on.close()
	if !p.use(on) {
		return nil
	}
	session, end := context.WithCancel(ctx)
	defer end()
	var running sync.WaitGroup
	for range p.lanes {
		running.Go(func() {
			defer end() // the others end with the first
			(&lane{fetch: p.fetch, peer: p, conn: on.conn, tray: landing.Tray{Shelf: p.fetch.small}}).run(session)
		})
	}
	if len(pool.peers) > 1 {
		running.Go(func() { p.observe(session, on.conn) })
	}
	running.Go(func() { next = p.renew(ctx, session, end) })
	running.Wait()
	pool.mu.Lock()
	defer pool.mu.Unlock()
	p.part()
	if p.state == connected {
		p.state = dialing
	}
	pool.wake()
	return next
}

// use takes a new connection into use, unless others took the place meanwhile.
func (p *peer) use(on *link) bool {
	pool := p.fetch.pool
	pool.mu.Lock()
	defer pool.mu.Unlock()
	defer pool.wake()
	if active, _ := pool.places(); p.state == dialingLong && active >= maxActive {
		p.state = reserve
		return false
	}
	p.state = connected
	p.attend(on)
	n := lanes(on.conn)
	p.far, p.lanes = n > 1, max(n, minLanes)
	p.stats.Connections++
	if pool.job != nil && !pool.job.closed {
		p.join(pool.job)
	}
	return true
}

// lanes is how many streams a provider is asked over: more over a longer path, since one stream has a window, and is idle
// for a round trip between two requests.
func lanes(conn blobs.Opener) int {
	measured, ok := conn.(interface{ RTT() time.Duration })
	if !ok {
		return 1
	}
	return min(1+int(measured.RTT()/longPath), maxLanes)
}

// join lets the provider work on a job. The caller holds mu.
func (p *peer) join(j *job) {
	p.worker = &plan.Worker{Rate: p.rate}
	if j.blob != nil {
		p.worker.Speed = p.rate / bao.GroupSize
		p.observing = len(p.fetch.peers) > 1
	}
	j.plan.Join(p.worker)
}

// part ends that. The caller holds mu.
func (p *peer) part() {
	if p.worker == nil {
		return
	}
	if job := p.fetch.job; job != nil {
		job.plan.Leave(p.worker)
	}
	p.rate, p.worker, p.observing, p.claim = p.worker.Rate, nil, false, nil
}

// giveUp does without the provider from now on. The caller holds mu.
func (p *peer) giveUp(err error) {
	p.state, p.stats.Err = dead, err
	p.stop()
	p.log("blobs: provider is given up", err)
	p.fetch.wake()
}

func (p *peer) log(what string, err error) {
	p.fetch.cfg.Logger.LogAttrs(context.Background(), slog.LevelDebug, what, slog.String("hash", p.fetch.root.ShortString()),
		slog.String("provider", p.id.ShortString()), slog.Int("failed", p.failed), slog.Any("err", err))
}

// dialFailed decides whether to dial again. The caller holds mu.
func (p *peer) dialFailed(err error) {
	defer p.fetch.wake()
	attempts := maxDials
	switch {
	case p.stats.Connections > 0: // it was reached before
		err, attempts = fmt.Errorf("%w: %w", blobs.ErrLost, err), maxAttempts
	case len(p.fetch.peers) == 1:
		attempts = 1
	}
	p.stats.Failures++
	p.stats.Err = err
	if p.failed++; p.failed >= attempts {
		p.giveUp(err)
		return
	}
	p.backOff()
}

// backOff does not ask the provider for a while. The caller holds mu.
func (p *peer) backOff() {
	p.delay = min(max(2*p.delay, retryDelay), maxDelay)
	p.pausedUntil = time.Now().Add(p.delay)
	p.log("blobs: trying again", p.stats.Err)
}

// fail decides what a failed task means for the provider, and tells whether its connection is still of use. The caller holds mu.
func (p *peer) fail(j *job, t *plan.Task, err error) (usable bool) {
	if p.state != connected {
		return false // another stream has said so already
	}
	p.stats.Failures++
	p.stats.Err = err
	if t.Bytes() > 0 {
		p.failed, p.delay = 0, 0
	}
	many := len(p.fetch.peers) > 1
	lost := errors.Is(err, blobs.ErrLost)
	if p.silence.Dialing() && errors.Is(err, blobs.ErrStalled) && !errors.Is(err, errSlow) {
		lost = true // or so it seems
	}
	broken := errors.Is(err, blobs.ErrReset) || errors.Is(err, blobs.ErrTruncated)
	switch {
	case broken && t.Bytes() == 0 && (j.blob == nil || p.worker.Rate > 0) && j.plan.Shrink(t):
		return true // one of what was asked for is missing; which, is to be found out
	case lost && !p.given, broken:
	case many && (errors.Is(err, errSlow) || errors.Is(err, blobs.ErrStalled)):
	case many && errors.Is(err, blobs.ErrNotFound):
		j.plan.LacksAll(p.worker)
		return true
	default:
		p.giveUp(err)
		return false
	}
	if p.failed++; lost {
		err = p.gone(err)
	}
	if p.failed >= maxAttempts {
		if !many || !broken || lost {
			p.giveUp(err)
			return false
		}
		p.failed, p.delay = 0, 0
		if p.worker.Rate > 0 {
			j.plan.Lacks(t)
		} else {
			j.plan.LacksAll(p.worker)
		}
		return true
	}
	p.backOff()
	if lost {
		p.state = dialing
	}
	return !lost
}

// lane is a stream at a time to a provider.
type lane struct {
	*fetch
	peer *peer
	conn blobs.Opener
	tray landing.Tray
}

// run does what there is to be done until the connection is of no more use.
func (l *lane) run(ctx context.Context) {
	for {
		j, t, taskCtx := l.next(ctx, l.peer)
		if t == nil {
			return
		}
		err := j.work(taskCtx, l, t)
		if !l.finish(j, l.peer, t, err, context.Cause(taskCtx)) {
			return
		}
	}
}

// get sends a request.
func (l *lane) get(ctx context.Context, request blobs.GetRequest) (*blobs.Response, error) {
	l.mu.Lock()
	l.peer.stats.Requests++
	l.mu.Unlock()
	return blobs.Get(ctx, l.conn, request, l.cfg.StallTimeout)
}

// closing closes a response and counts what was read of it.
func (l *lane) closing(r *blobs.Response) {
	r.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer.stats.Received += r.Received()
}
