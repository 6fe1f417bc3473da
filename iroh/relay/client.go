package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Client is a place at one relay. Run keeps it connected; whoever calls that, or Close, owns it. The other methods may be
// called from any goroutine, at any time.
type Client struct {
	cfg      Config
	queue    chan *outgoing
	spare    sync.Pool    // of *outgoing
	received sync.Pool    // of *Received
	used     atomic.Int64 // when Send was last called, in Unix nanoseconds
	up       atomic.Bool  // State.Connected, for Send

	closing   chan struct{} // closed when closing begins
	closeOnce sync.Once
	running   sync.Mutex // held by Run

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and replaced when the state changes
}

// State is how a client is doing.
type State struct {
	Connected bool
	Latency   time.Duration // of the last ping, there and back; zero if it is not known
	Problem   string        // what the relay says is wrong, in words; empty if nothing is
	Err       error         // why the last attempt failed or the last connection ended; nil while connected
}

// New returns a client that is not connected yet.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, queue: make(chan *outgoing, sendQueue), closing: make(chan struct{}), changed: make(chan struct{})}
	c.spare.New = func() any { return new(outgoing) }
	c.received.New = func() any { return &Received{from: c} }
	c.used.Store(time.Now().UnixNano())
	return c, nil
}

// URL is the relay that the client is for.
func (c *Client) URL() URL { return c.cfg.URL }

// Run connects, and again whenever the connection breaks, until ctx is done, for which it returns ctx's error, or until
// Close, for which it returns nil. Only one Run may run at a time.
func (c *Client) Run(ctx context.Context) error {
	if !c.running.TryLock() {
		return errors.New("relay: the client runs already")
	}
	defer c.running.Unlock()
	pause := firstPause
	var restarts time.Time // until then the relay is known to be on its way back
	for {
		began := time.Now()
		notice, err := c.once(ctx)
		if c.isClosing() || ctx.Err() != nil {
			c.update(State{})
			if c.isClosing() {
				return nil
			}
			return context.Cause(ctx)
		}
		c.update(State{Err: err})
		c.cfg.Logger.Debug("relay connection ended", "relay", c.cfg.URL.String(), "err", err)
		if time.Since(began) > settled || time.Now().Before(restarts) {
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause)
		pause = min(2*pause, maxPause)
		if notice != nil {
			restarts = notice.at.Add(notice.ReconnectIn + notice.TryFor)
			wait += notice.ReconnectIn
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-c.closing:
		}
		timer.Stop()
	}
}

func (c *Client) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// once makes one connection and uses it until it ends. The notice is there if the relay announced that it would.
func (c *Client) once(ctx context.Context) (*restart, error) {
	attempt, stop := context.WithTimeout(ctx, connectTimeout)
	var hook sync.WaitGroup
	hook.Go(func() { // closing ends an attempt
		select {
		case <-c.closing:
			stop()
		case <-attempt.Done():
		}
	})
	s, err := c.connect(attempt)
	stop()
	hook.Wait()
	if err != nil {
		return nil, fmt.Errorf("relay: connect to %s: %w", c.cfg.URL, err)
	}
	c.update(State{Connected: true})
	c.cfg.Logger.Debug("relay connected", "relay", c.cfg.URL.String(), "protocol", s.ws.Subprotocol())
	err = s.run(ctx)
	return s.resume.Load(), fmt.Errorf("relay: connection to %s: %w", c.cfg.URL, err)
}

// Close sends what is queued, within a second, and ends Run, for which it waits. A second call does nothing.
func (c *Client) Close() error {
	c.closeOnce.Do(func() { close(c.closing) })
	c.running.Lock() // Run is over, or was never begun
	defer c.running.Unlock()
	return nil
}
