package downloader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/silence"
)

// link is a connection to a provider.
type link struct {
	conn  blobs.Opener
	close func()
	heard func() uint64 // packets that have come, of any kind; nil if the provider is not to be dialed anew
}

// attend begins to listen to a connection. The caller holds mu.
func (p *peer) attend(on *link) {
	p.link, p.silence = on, silence.Silence{}
	if cfg := p.fetch.cfg; on.heard != nil {
		p.silence = silence.Silence{After: cfg.SilenceTimeout, Until: cfg.StallTimeout - cfg.SilenceTimeout/2}
		p.listen()
	}
}

// listen notes whether something has come over the connection. The caller holds mu.
func (p *peer) listen() {
	if p.link.heard != nil {
		p.silence.Listen(p.link.heard(), time.Now())
	}
}

// begin tells whether the provider is to be dialed anew, which then has begun: it is asked for something and silent. One that answers
// dials and brings nothing is not dialed for ever. The caller holds mu.
func (p *peer) begin() bool {
	return p.state == connected && p.asked > 0 && p.failed < maxAttempts-1 && p.silence.Begin()
}

// renew dials the provider anew, one dial at a time, while nothing comes over its connection, until that is over (session) or is replaced
// by what is returned: then the old one is left, by end, and what came over it stays. A dial that is under way when the connection is lost
// is waited for.
func (p *peer) renew(ctx, session context.Context, end func()) (next *link) {
	for p.fetch.wait(session, p.begin) == nil {
		limited, cancel := context.WithTimeoutCause(ctx, p.fetch.cfg.SilenceTimeout, errUnanswered)
		fresh, err := p.dial(limited)
		cancel()
		switch {
		case err != nil:
			p.missed(ctx, err)
		case p.replace(ctx, end):
			return fresh
		default:
			fresh.close()
		}
	}
	return nil
}

// missed takes note of a dial that failed beside a connection, or beside one that has been lost meanwhile.
func (p *peer) missed(ctx context.Context, err error) {
	p.fetch.mu.Lock()
	defer p.fetch.mu.Unlock()
	p.listen()
	p.silence.End(err)
	switch {
	case ctx.Err() != nil: // the provider is of no use any more
	case p.state != connected:
		p.dialFailed(err)
	default:
		p.stats.Failures++
		p.stats.Err = fmt.Errorf("dialed anew: %w", err)
		p.log("blobs: provider is silent", err)
	}
}

// replace tells whether a new connection is to take over from the old one, which then ends: not if something has come meanwhile.
func (p *peer) replace(ctx context.Context, end func()) bool {
	p.fetch.mu.Lock()
	defer p.fetch.mu.Unlock()
	p.listen()
	silent := p.silence.End(nil)
	switch {
	case ctx.Err() != nil:
		return false
	case p.state != connected: // it was lost meanwhile
		return true
	case !silent:
		return false
	}
	p.failed++
	p.state = dialing
	p.log("blobs: provider is reached anew", nil)
	end()
	return true
}

// gone notes that a connection has ended. If that is for its silence, then the provider was dialed meanwhile, and it is known by now, or
// when the dial that is under way has ended, that nobody is there. The caller holds mu.
func (p *peer) gone(err error) error {
	if !errors.As(err, new(*quic.IdleTimeoutError)) && !errors.Is(err, blobs.ErrStalled) {
		return err
	}
	vain := p.silence.Vain()
	switch {
	case p.silence.Dialing():
		p.failed = max(p.failed, maxAttempts-1)
	case vain != nil:
		p.failed = maxAttempts
		return fmt.Errorf("%w; dialed anew: %w", err, vain)
	}
	return err
}
