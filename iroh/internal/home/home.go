// Package home keeps an endpoint connected to relays: to its home, the closest of those that are configured, where others
// reach it who know its id, and to those of peers that it dials, for as long as they are used.
//
// Every few minutes, or when the home is away for seconds, the closest is chosen anew. A relay that is not the home is left a
// minute after the last packet to it. Relays are trusted with nothing, see package relay; how many there can be is bounded.
package home

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

var errTooMany = fmt.Errorf("more than %d relays are in use already", MaxRelays)

// ErrClosed says that the relays were left for good.
var ErrClosed = errors.New("home: closed")

// Config says which relays there are. Measure and Roots may be nil.
type Config struct {
	Relays    relay.Map // at least one
	SecretKey key.SecretKey
	Roots     *x509.CertPool // trusted to certify relays; nil are those of the system
	Conn      *paths.Conn    // takes what comes
	Logger    *slog.Logger

	// Measure finds out how far away the relays are; nil is relay.Probe.
	Measure func(context.Context) []relay.Latency
}

// Relays are those that an endpoint is connected to: its home, and those of peers that it has dialed.
type Relays struct {
	cfg  Config
	ctx  context.Context // for as long as there are relays
	stop context.CancelFunc
	wg   sync.WaitGroup // the loop, and one for each client

	mu      sync.Mutex
	closed  bool
	clients map[relay.URL]*member
	home    relay.URL     // chosen; zero before
	shown   relay.URL     // the last home that was connected
	chosen  chan struct{} // closed and replaced when home changes
}

// member is a relay in use.
type member struct {
	*relay.Client
	asked time.Time // when somebody wanted it the last time
}

// State is how an endpoint does at one relay.
type State struct {
	URL  string
	Home bool
	relay.State
}

// Start begins to look for the home. The caller must call Close.
func Start(cfg Config) *Relays {
	if cfg.Measure == nil {
		cfg.Measure = func(ctx context.Context) []relay.Latency {
			return relay.Probe(ctx, cfg.Relays, relay.ProbeConfig{Roots: cfg.Roots})
		}
	}
	r := &Relays{cfg: cfg, clients: map[relay.URL]*member{}, chosen: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.wg.Go(r.run)
	return r
}

// run chooses the home, and looks after all relays, until they are closed.
func (r *Relays) run() {
	r.choose()
	last, seen := time.Now(), time.Now() // when the home was chosen, and connected
	check := time.NewTicker(relayCheck)
	defer check.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-check.C:
		}
		r.reap()
		if r.connectedHome() != nil {
			seen = time.Now()
		}
		if len(r.cfg.Relays) > 1 && (time.Since(last) > homeCheck || min(time.Since(seen), time.Since(last)) > homeAway) {
			r.choose()
			last = time.Now()
		}
	}
}

// choose makes the closest relay the home. If none answers it stays where it was, or is the first.
func (r *Relays) choose() {
	best := r.cfg.Relays[0].URL
	if len(r.cfg.Relays) > 1 {
		r.mu.Lock()
		home := r.home
		r.mu.Unlock()
		found := r.cfg.Measure(r.ctx)
		if u := relay.Nearest(found, home); !u.IsZero() {
			best = u
		} else if !home.IsZero() {
			best = home
		}
	}
	if r.ctx.Err() != nil {
		return
	}
	if _, err := r.Client(best); errors.Is(err, ErrClosed) {
		return
	} else if err != nil {
		r.cfg.Logger.Warn("iroh relay cannot be used", "relay", best.String(), "err", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.home != best {
		r.cfg.Logger.Info("iroh home relay", "relay", best.String())
		r.home = best
		close(r.chosen)
		r.chosen = make(chan struct{})
	}
}

// Client returns the client of a relay, a new one if need be.
func (r *Relays) Client(u relay.URL) (*relay.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if m := r.clients[u]; m != nil {
		m.asked = time.Now()
		return m.Client, nil
	}
	if len(r.clients) >= MaxRelays {
		return nil, errTooMany
	}
	var c *relay.Client
	c, err := relay.New(relay.Config{
		URL: u, SecretKey: r.cfg.SecretKey, Roots: r.cfg.Roots, Logger: r.cfg.Logger,
		Receive: func(p *relay.Received) { r.cfg.Conn.Receive(c, p) },
	})
	if err != nil {
		return nil, err
	}
	r.clients[u] = &member{c, time.Now()}
	r.wg.Go(func() { c.Run(r.ctx) }) // it only ends when somebody ends it
	return c, nil
}

// connectedHome is the client of the home if it is connected.
func (r *Relays) connectedHome() *relay.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.clients[r.home]
	if m == nil || !m.State().Connected {
		return nil
	}
	r.shown = r.home
	return m.Client
}

// Changed is closed when the home that others are told of may be another one.
func (r *Relays) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.clients[r.home]; m != nil && r.shown != r.home {
		return m.Changed()
	}
	return r.chosen
}

// reap leaves the relays that are not the home and on which nothing was sent for a while.
func (r *Relays) reap() {
	var idle []*relay.Client
	r.mu.Lock()
	for u, m := range r.clients {
		if u != r.home && m.Idle() > relayIdle && time.Since(m.asked) > relayIdle {
			idle = append(idle, m.Client)
			delete(r.clients, u)
		}
	}
	r.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// Close sends what is queued and leaves all relays.
func (r *Relays) Close() {
	r.mu.Lock()
	r.closed = true
	var leaving sync.WaitGroup
	for _, m := range r.clients {
		leaving.Go(func() { m.Close() })
	}
	r.mu.Unlock()
	leaving.Wait()
	r.stop()
	r.wg.Wait()
}

// Home is the relay at which others reach the endpoint, zero before there is one. While the connection to it is broken it is
// still that.
func (r *Relays) Home() relay.URL {
	r.connectedHome()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown
}

// Wait waits until the endpoint is connected to its home. Its error wraps ErrClosed when the relays are left, and ctx's when
// that is done, with what the relay's client has to say.
func (r *Relays) Wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		m, chosen := r.clients[r.home], r.chosen
		r.mu.Unlock()
		if m == nil {
			select {
			case <-chosen:
				continue
			case <-r.ctx.Done():
				return ErrClosed
			case <-ctx.Done():
				return fmt.Errorf("no home relay yet: %w", context.Cause(ctx))
			}
		}
		// Another home may be chosen while this one cannot be reached, hence the pause.
		attempt, cancel := context.WithTimeout(ctx, relayCheck)
		err := m.Ready(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case errors.Is(err, relay.ErrClosed) && r.isClosed():
			return ErrClosed
		}
	}
}

func (r *Relays) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// States returns how the endpoint does at all relays that it uses, the home first.
func (r *Relays) States() []State {
	var out []State
	r.mu.Lock()
	for u, m := range r.clients {
		out = append(out, State{URL: u.String(), Home: u == r.home, State: m.State()})
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b State) int {
		if a.Home != b.Home {
			if a.Home {
				return -1
			}
			return 1
		}
		return strings.Compare(a.URL, b.URL)
	})
	return out
}
