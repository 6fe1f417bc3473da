package downloader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// pool is the providers of one fetch, and what they are asked for at the moment. Each provider in use has a goroutine ([peer.run]) and one
// for each of its streams ([lane.run]); one more looks whether they are late.
type pool struct {
	fetch   *fetch
	running sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when somebody who waits should look again
	peers   []*peer
	job     *job // nil between two
	stats   Stats
}

// job is something to be had from the providers.
type job struct {
	plan *plan.Plan
	work func(ctx context.Context, l *lane, t *plan.Task) error
	blob *wanted // whose groups are the units; nil where they are something else

	tasks  map[*plan.Task]context.CancelCauseFunc // under way
	err    error                                  // why it cannot go on
	closed bool                                   // no more tasks
	over   context.Context                        // ends with it
}

func newPool(f *fetch, peers []*peer) *pool {
	if len(peers) > maxProviders {
		peers = peers[:maxProviders]
	}
	p := &pool{fetch: f, changed: make(chan struct{}), peers: peers}
	for _, peer := range peers {
		peer.fetch = f
		p.stats.Providers = append(p.stats.Providers, ProviderStats{ID: peer.id})
	}
	return p
}

// begin starts the first providers.
func (p *pool) begin(ctx context.Context) {
	p.running.Go(func() { p.watch(ctx) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admit(ctx)
}

// end waits for everything that begin started; its context has ended.
func (p *pool) end() {
	p.running.Wait()
	for i, peer := range p.peers {
		p.stats.Providers[i] = peer.stats
		p.stats.Providers[i].ID = peer.id
		p.stats.Received += peer.stats.Received
		p.stats.Requests += peer.stats.Requests
	}
}

// wake lets everybody who waits look again. The caller holds mu.
func (p *pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// places counts the providers that take one of maxActive places, and one of maxStarted. The caller holds mu.
func (p *pool) places() (active, started int) {
	for _, peer := range p.peers {
		switch peer.state {
		case dialing, connected:
			active++
			started++
		case dialingLong:
			started++
		}
	}
	return active, started
}

// admit starts providers that are in reserve, while there are places. The caller holds mu.
func (p *pool) admit(ctx context.Context) {
	active, started := p.places()
	for _, peer := range p.peers {
		if active >= maxActive || started >= maxStarted {
			return
		}
		if peer.state != reserve {
			continue
		}
		peer.state = dialing
		active++
		started++
		ctx, stop := context.WithCancel(ctx)
		peer.stop = stop
		p.running.Go(func() {
			defer stop()
			peer.run(ctx)
		})
	}
}

// watch looks from time to time whether somebody is late, and wakes those whose pause is over.
func (p *pool) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.mu.Lock()
			if p.job != nil {
				for _, t := range p.job.plan.Late(now) {
					p.job.tasks[t](errSlow)
				}
			}
			for _, peer := range p.peers {
				switch {
				case peer.state == connected:
					peer.listen()
					peer.look()
				case peer.state == dialing && now.Sub(peer.since) > longDial:
					peer.state = dialingLong
				}
			}
			p.admit(ctx)
			p.wake()
			p.mu.Unlock()
		}
	}
}

// wait waits until ok, which is called with mu held, returns true.
func (p *pool) wait(ctx context.Context, ok func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok() {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// ready waits until there is a provider, or none is left, and tells whether what is to be had should be split among several streams:
// there are several providers, or the only one is far away.
func (p *pool) ready(ctx context.Context) (split bool, err error) {
	if len(p.peers) > 1 {
		return true, nil
	}
	err = p.wait(ctx, func() bool {
		for _, peer := range p.peers {
			if peer.state != connected && peer.state != dead {
				return false
			}
			split = split || peer.far
		}
		return true
	})
	return split, err
}

// do lets the providers work on a job until it is done or cannot go on.
func (p *pool) do(ctx context.Context, j *job) error {
	j.tasks = make(map[*plan.Task]context.CancelCauseFunc)
	over, end := context.WithCancel(ctx)
	defer end()
	j.over = over
	p.mu.Lock()
	p.job = j
	for _, peer := range p.peers {
		if peer.state == connected {
			peer.join(j)
		}
	}
	p.wake()
	p.mu.Unlock()
	err := p.wait(ctx, func() bool { return j.err != nil || j.plan.Done() || p.hopeless(j) })
	p.mu.Lock()
	defer p.mu.Unlock()
	j.closed = true
	for _, cancel := range j.tasks {
		cancel(errOver)
	}
	p.wake()
	for len(j.tasks) > 0 {
		changed := p.changed
		p.mu.Unlock()
		<-changed // they have been cancelled
		p.mu.Lock()
	}
	p.job = nil
	for _, peer := range p.peers {
		peer.part()
	}
	switch {
	case j.err == nil && j.plan.Done():
		return nil
	case err != nil:
		return err
	}
	return j.err
}

// hopeless tells that nobody is left who could go on with a job, and sets its error. The caller holds mu.
func (p *pool) hopeless(j *job) bool {
	coming, there := false, 0
	for _, peer := range p.peers {
		coming = coming || peer.state == reserve || peer.state == dialing || peer.state == dialingLong
		if peer.state == connected {
			there++
		}
	}
	switch {
	case there == 0 && !coming:
		j.err = p.failures()
		return true
	case there == 0 || !j.plan.Stuck():
		return false
	case j.plan.Trust(): // nobody claims to have the rest; what they claim may be wrong
		p.wake()
		return false
	case coming:
		if there >= maxActive { // make room
			p.retire()
		}
		return false
	}
	j.err = p.failures()
	return true
}

// retire gives up a provider that has nothing of what is left. The caller holds mu.
func (p *pool) retire() {
	for _, peer := range p.peers {
		if peer.state == connected && p.job.plan.Useless(peer.worker) {
			peer.giveUp(fmt.Errorf("blobs: %s: %w", p.fetch.root.ShortString(), blobs.ErrNotFound))
			return
		}
	}
}

// failures says why all providers failed. The caller holds mu.
func (p *pool) failures() error {
	if len(p.peers) == 1 {
		return p.peers[0].stats.Err
	}
	err := []error{}
	for _, peer := range p.peers {
		if peer.stats.Err != nil {
			err = append(err, fmt.Errorf("from %s: %w", peer.id.ShortString(), peer.stats.Err))
		}
	}
	if len(err) == 0 {
		return ErrNoProvider
	}
	return errors.Join(err...)
}

// next waits for something to do for a provider. It returns nil when its connection is over.
func (p *pool) next(ctx context.Context, of *peer) (j *job, task *plan.Task, taskCtx context.Context) {
	err := p.wait(ctx, func() bool {
		if of.state != connected {
			return true
		}
		now := time.Now()
		j = p.job
		if j == nil || j.closed || j.err != nil || now.Before(of.pausedUntil) || of.observing {
			return false
		}
		t, late := j.plan.Next(of.worker, now)
		if late != nil {
			j.tasks[late](errSlow)
		}
		if task = t; t == nil {
			return false
		}
		var cancel context.CancelCauseFunc
		taskCtx, cancel = context.WithCancelCause(ctx)
		j.tasks[t] = cancel
		of.asked++
		return true
	})
	if err != nil || task == nil {
		return nil, nil, nil
	}
	return j, task, taskCtx
}

// finish takes note of how a task ended, and tells whether its connection is of use any more.
func (p *pool) finish(j *job, of *peer, t *plan.Task, err, cause error) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	now := time.Now()
	silent := t.Silent(now)
	if over := j.plan.End(t, now); over != nil {
		j.tasks[over](errOver)
	}
	j.tasks[t](nil) // gives the context back
	delete(j.tasks, t)
	of.asked--
	switch {
	case err == nil:
		of.failed, of.delay = 0, 0
		return true
	case errors.Is(cause, errOver):
		if silent {
			of.stats.Failures++
			of.stats.Err = fmt.Errorf("blobs: %s: %w: %w", p.fetch.root.ShortString(), blobs.ErrStalled, errSlow)
		}
		return true
	case errors.As(err, new(ownError)), errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrComplete):
		j.err = err
		return true
	case errors.Is(cause, errSlow):
		err = fmt.Errorf("blobs: %s: %w: %w", p.fetch.root.ShortString(), blobs.ErrStalled, errSlow)
	case cause != nil && !errors.Is(err, blobs.ErrLost):
		return false // the fetch or the connection has ended
	}
	return of.fail(j, t, err)
}
