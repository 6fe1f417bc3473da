package downloader

import (
	"context"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
)

// observe follows what the provider says it has of the blob that is being fetched.
func (p *peer) observe(ctx context.Context, conn blobs.Opener) {
	pool := p.fetch.pool
	for {
		var j *job
		err := pool.wait(ctx, func() bool {
			j = pool.job
			return j != nil && p.observing
		})
		if err != nil {
			return
		}
		p.follow(ctx, conn, j)
	}
}

// follow hears what the provider says until the job ends. Until it has said something, or has taken too long to, it is asked for nothing.
// One that has much to say has to wait: its claims are read at a rate, and the plan is told the newest of them, see watch.
func (p *peer) follow(ctx context.Context, conn blobs.Opener, j *job) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(j.over, cancel)()
	defer p.claims(j, nil)
	o, err := blobs.Observe(ctx, conn, j.blob.hash)
	if err != nil {
		return
	}
	defer o.Close()
	defer time.AfterFunc(observeWait, func() { p.claims(j, nil) }).Stop()
	for read := 0; err == nil; {
		there, failed := o.Next()
		if failed != nil || len(there.Ranges) > maxClaimed {
			return
		}
		p.claims(j, &there)
		if read += 1 + len(there.Ranges)/claimWeight; read >= maxClaims {
			read, err = 0, pause(ctx, watchEvery)
		}
	}
}

// claims notes what the provider says it has; nil if it says nothing.
func (p *peer) claims(j *job, there *blobs.Available) {
	p.fetch.mu.Lock()
	defer p.fetch.mu.Unlock()
	if p.worker == nil || p.fetch.job != j {
		return
	}
	if there != nil {
		p.claim = there
	}
	if p.observing {
		p.observing = false
		p.look()
		p.fetch.wake()
	}
}

// look tells the plan what the provider has claimed last. The caller holds mu.
func (p *peer) look() {
	if there := p.claim; there != nil && (there.Size == 0 || there.Size == p.fetch.job.blob.size) {
		p.fetch.job.plan.Claim(p.worker, plan.Groups(there.Ranges, p.fetch.job.blob.size))
	}
	p.claim = nil
}
