package relay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is wrapped by the error of Ready when the client is closed.
var ErrClosed = errors.New("relay client is closed")

// State returns how the client is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Changed returns a channel that is closed when the state changes the next time.
func (c *Client) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Ready waits until the client is connected. Its error wraps ErrClosed when the client is closed; and, when ctx is done, ctx's
// and the reason of the last failure.
func (c *Client) Ready(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, changed := c.state, c.changed
		c.mu.Unlock()
		if state.Connected {
			return nil
		}
		select {
		case <-changed:
		case <-c.closing:
			return fmt.Errorf("relay: %w", ErrClosed)
		case <-ctx.Done():
			if state.Err != nil {
				return fmt.Errorf("relay: not connected: %w: %w", context.Cause(ctx), state.Err)
			}
			return fmt.Errorf("relay: not connected to %s: %w", c.cfg.URL, context.Cause(ctx))
		}
	}
}

// Idle is how long ago somebody sent something, or how old the client is.
func (c *Client) Idle() time.Duration { return time.Since(time.Unix(0, c.used.Load())) }

func (c *Client) update(s State) { c.change(func(old *State) { *old = s }) }

func (c *Client) measured(latency time.Duration) {
	c.change(func(s *State) { s.Latency = latency })
}

// problem takes over what the relay says; nothing of it is a reason to leave.
func (c *Client) problem(text string) {
	if text != "" {
		c.cfg.Logger.Warn("the relay reports a problem", "relay", c.cfg.URL.String(), "problem", text)
	}
	c.change(func(s *State) { s.Problem = text })
}

func (c *Client) change(how func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.state
	how(&c.state)
	c.up.Store(c.state.Connected)
	if before != c.state {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}
