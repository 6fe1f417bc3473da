package portmap

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config says what to map. Only the port is required.
type Config struct {
	// Port is the UDP port of this machine. The external port is the same where that is free.
	Port uint16
	// Gateway is whom to ask; zero is the gateway of the default route, whichever that is at the time.
	Gateway netip.Addr
	// Lifetime is how long the mapping shall last after this process has vanished without Close; zero is
	// [DefaultLifetime], and 10 s the least. It is renewed at half of what the gateway grants.
	Lifetime time.Duration
	// Check is how often the gateway is asked whether it still has the mapping; zero is [DefaultCheck].
	Check time.Duration
	// Description is what the gateway's user sees beside a UPnP mapping; empty is "iroh".
	Description string
	// Logger gets what is of use to an operator; nil drops it.
	Logger *slog.Logger
}

// fill puts the defaults where nothing was said.
func (c *Config) fill() {
	if c.Lifetime <= 0 {
		c.Lifetime = DefaultLifetime
	}
	c.Lifetime = min(c.Lifetime, maxLifetime)
	if c.Check <= 0 {
		c.Check = DefaultCheck
	}
	if c.Description == "" {
		c.Description = "iroh"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) validate() error {
	if c.Port == 0 {
		return errors.New("portmap: the port to map is missing")
	}
	if c.Gateway.IsValid() && !c.Gateway.Is4() {
		return errors.New("portmap: the gateway's address must be of IPv4")
	}
	return nil
}

// Protocol is how a gateway is spoken to; empty is not at all.
type Protocol string

// The protocols.
const (
	NATPMP Protocol = "NAT-PMP"
	UPnP   Protocol = "UPnP IGD"
)

// Status is how things stand, for a person who wants to know why nobody can dial this machine.
type Status struct {
	// Protocol is the one that the mapping was made by; empty while there is none.
	Protocol Protocol
	// Gateway is whom we ask; zero while there is no default route.
	Gateway netip.Addr
	// External is where the gateway says that the port is open, public or not; zero while there is no mapping.
	External netip.AddrPort
	// Renewed is when the gateway last granted the mapping.
	Renewed time.Time
	// Err says in plain words what is wrong; nil when External can be dialed from the internet, or when the first attempt is
	// still under way.
	Err error
}

// Mapper keeps one port mapped. It is safe for concurrent use. Close ends it.
type Mapper struct {
	cfg    Config
	pace   pace
	cancel context.CancelFunc
	wg     sync.WaitGroup // the loop
	closed sync.Once
	err    error // of Close

	// The loop's own; Close's after it has ended.
	at   route
	held *holding
	left map[Protocol]gateway // what may have a mapping of ours besides the one that is held: to be removed
	want uint16               // the external port that we would like, which is the one that we have if there is one

	mu       sync.Mutex
	status   Status
	external netip.AddrPort
	changed  chan struct{} // closed and replaced when external changes
	expires  time.Time     // of the mapping, unless it is renewed
	expiry   *time.Timer   // runs expire then
}

// A holding is a mapping that a gateway has granted.
type holding struct {
	gateway gateway
	expires time.Time // unless it is renewed
}

// New begins to map a port, in the background: that there is no gateway, or none that maps ports, is no error but a
// [Status], since one may come.
func New(cfg Config) (*Mapper, error) { return start(cfg, normalPace()) }

func start(cfg Config, p pace) (*Mapper, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.fill()
	cfg.Lifetime = max(cfg.Lifetime, 2*p.minRenew)
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mapper{
		cfg: cfg, pace: p, cancel: cancel, want: cfg.Port,
		left: map[Protocol]gateway{}, changed: make(chan struct{}),
	}
	m.expiry = time.AfterFunc(maxLifetime, m.expire) // and sooner when there is a lease
	m.wg.Go(func() { m.run(ctx) })
	return m, nil
}

// External returns the address under which the internet reaches the port, or zero while there is none: no gateway, no
// mapping, or a gateway whose own address is not public.
func (m *Mapper) External() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.external
}

// Changed returns a channel that is closed when External changes. Ask for it before External.
func (m *Mapper) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Status returns how things stand.
func (m *Mapper) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// Close removes the mapping and waits for all that runs, a few seconds if the gateway does not answer. The error is why
// the mapping may still be there until its lifetime ends.
func (m *Mapper) Close() error {
	m.closed.Do(func() {
		m.cancel()
		m.wg.Wait()
		if m.held != nil {
			m.left[m.held.gateway.protocol()] = m.held.gateway
		}
		m.err = m.clean(context.Background())
		m.drop(errors.New("portmap: closed"))
	})
	return m.err
}

// clean has removed what is left of ours at gateways, within closeWait.
func (m *Mapper) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	var all sync.WaitGroup
	errs := make(map[Protocol]*error)
	for p, g := range m.left {
		err := new(error)
		errs[p] = err
		all.Go(func() { *err = g.unmap(ctx) })
	}
	all.Wait()
	var joined error
	for p, err := range errs {
		if *err == nil {
			delete(m.left, p)
		}
		joined = errors.Join(joined, *err)
	}
	return joined
}

// drop forgets the mapping, and says why there is none.
func (m *Mapper) drop(why error) {
	m.held = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conceal(why)
}

// conceal tells nobody of the mapping any more. The mutex is held.
func (m *Mapper) conceal(why error) {
	m.expiry.Stop()
	m.status.Protocol, m.status.External, m.status.Err = "", netip.AddrPort{}, why
	m.announce(netip.AddrPort{})
}

// expire is called when a lease is over, whatever the loop waits for at that time.
func (m *Mapper) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status.Protocol == "" || time.Now().Before(m.expires) {
		return // it was renewed at this moment
	}
	why := m.status.Err
	if why == nil {
		why = errExpired
	}
	m.conceal(why)
}

// announce makes an external address known. The mutex is held.
func (m *Mapper) announce(a netip.AddrPort) {
	if m.external == a {
		return
	}
	m.cfg.Logger.Info("external address", "addr", a, "was", m.external, "protocol", m.status.Protocol)
	m.external = a
	close(m.changed)
	m.changed = make(chan struct{})
}
