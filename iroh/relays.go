package iroh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

var errTooManyRelays = fmt.Errorf("more than %d relays are in use already", maxRelays)

// relays are those that an endpoint is connected to: its home, and those of peers that it has dialed.
type relays struct {
	cfg  Config
	conn *paths.Conn
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

// RelayState is how an endpoint does at one relay.
type RelayState struct {
	URL  string
	Home bool
	relay.State
}

func startRelays(cfg Config, conn *paths.Conn) *relays {
	r := &relays{cfg: cfg, conn: conn, clients: map[relay.URL]*member{}, chosen: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.wg.Go(r.run)
	return r
}

// run chooses the home, and looks after all relays, until they are closed.
func (r *relays) run() {
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
func (r *relays) choose() {
	best := r.cfg.Relays[0].URL
	if len(r.cfg.Relays) > 1 {
		r.mu.Lock()
		home := r.home
		r.mu.Unlock()
		found := relay.Probe(r.ctx, r.cfg.Relays, relay.ProbeConfig{Roots: r.cfg.RelayRoots})
		if u := relay.Nearest(found, home); !u.IsZero() {
			best = u
		} else if !home.IsZero() {
			best = home
		}
	}
	if r.ctx.Err() != nil {
		return
	}
	if _, err := r.client(best); errors.Is(err, ErrClosed) {
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

// client returns the client of a relay, a new one if need be.
func (r *relays) client(u relay.URL) (*relay.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if m := r.clients[u]; m != nil {
		m.asked = time.Now()
		return m.Client, nil
	}
	if len(r.clients) >= maxRelays {
		return nil, errTooManyRelays
	}
	var c *relay.Client
	c, err := relay.New(relay.Config{
		URL: u, SecretKey: r.cfg.SecretKey, Roots: r.cfg.RelayRoots, Logger: r.cfg.Logger,
		Receive: func(p *relay.Received) { r.conn.Receive(c, p) },
	})
	if err != nil {
		return nil, err
	}
	r.clients[u] = &member{c, time.Now()}
	r.wg.Go(func() { c.Run(r.ctx) }) // it only ends when somebody ends it
	return c, nil
}

// connectedHome is the client of the home if it is connected.
func (r *relays) connectedHome() *relay.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.clients[r.home]
	if m == nil || !m.State().Connected {
		return nil
	}
	r.shown = r.home
	return m.Client
}

// changedHome is closed when the home that others are told of may be another one.
func (r *relays) changedHome() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.clients[r.home]; m != nil && r.shown != r.home {
		return m.Changed()
	}
	return r.chosen
}

// reap leaves the relays that are not the home and on which nothing was sent for a while.
func (r *relays) reap() {
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

// close sends what is queued and leaves all relays.
func (r *relays) close() {
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

// HomeRelay is the URL of the relay at which others reach the endpoint, empty before there is one. While the connection to it
// is broken it is still that.
func (e *Endpoint) HomeRelay() string {
	if e.relays == nil {
		return ""
	}
	e.relays.connectedHome()
	e.relays.mu.Lock()
	defer e.relays.mu.Unlock()
	return e.relays.shown.String()
}

// WaitRelay waits until the endpoint is connected to its home relay. Without relays that is an error at once; when ctx is
// done the error is ctx's, with what the relay's client has to say.
func (e *Endpoint) WaitRelay(ctx context.Context) error {
	r := e.relays
	if r == nil {
		return errors.New("iroh: the endpoint is configured without relays")
	}
	for {
		r.mu.Lock()
		m, chosen := r.clients[r.home], r.chosen
		r.mu.Unlock()
		if m == nil {
			select {
			case <-chosen:
				continue
			case <-e.done:
				return fmt.Errorf("iroh: %w", ErrClosed)
			case <-ctx.Done():
				return fmt.Errorf("iroh: no home relay yet: %w", context.Cause(ctx))
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
			return fmt.Errorf("iroh: %w", err)
		case errors.Is(err, relay.ErrClosed):
			select {
			case <-e.done:
				return fmt.Errorf("iroh: %w", ErrClosed)
			default:
			}
		}
	}
}

// RelayStates returns how the endpoint does at all relays that it uses, the home first.
func (e *Endpoint) RelayStates() []RelayState {
	if e.relays == nil {
		return nil
	}
	var out []RelayState
	e.relays.mu.Lock()
	for u, m := range e.relays.clients {
		out = append(out, RelayState{URL: u.String(), Home: u == e.relays.home, State: m.State()})
	}
	e.relays.mu.Unlock()
	slices.SortFunc(out, func(a, b RelayState) int {
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
