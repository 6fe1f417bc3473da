package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A gateway maps our port by one protocol. It remembers what it was asked for, so that unmap knows what to remove. Its
// methods are called by one goroutine at a time.
type gateway interface {
	protocol() Protocol
	// mapped is the external port of the mapping that there may be: granted, or asked for. 0 is none.
	mapped() uint16
	// mapPort maps our port, or renews the mapping, to the external port want if that is free.
	mapPort(ctx context.Context, want uint16, lifetime time.Duration) (lease, error)
	// check returns the external address now, and errLost when the mapping is not there any more.
	check(ctx context.Context) (netip.Addr, error)
	// unmap removes the mapping if it is there and ours.
	unmap(ctx context.Context) error
}

// A lease is what a gateway has granted.
type lease struct {
	external netip.AddrPort
	lifetime time.Duration // zero: until it is removed
}

var (
	// errLost ends a mapping that the gateway does not have any more.
	errLost = errors.New("the gateway has lost the mapping: it was restarted, or somebody removed it")
	// errExpired ends a mapping whose lease was over before it was renewed.
	errExpired = errors.New("the gateway does not renew the mapping")
	// errMoved ends a mapping whose gateway is not ours any more.
	errMoved = errors.New("this machine has moved to another network")
)

// run keeps the port mapped until ctx ends.
func (m *Mapper) run(ctx context.Context) {
	pause := m.pace.pause
	var last route
	for {
		at := m.find()
		if at.route != last {
			last, pause = at.route, m.pace.pause
		}
		began := time.Now()
		err := at.err
		if err == nil {
			err = m.establish(ctx, at.route)
		}
		if err == nil {
			err = m.hold(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		m.fail(err)
		if errors.Is(err, errMoved) {
			continue // no sooner than the routing table was looked at
		}
		if time.Since(began) >= m.pace.stable+attemptWait {
			pause = m.pace.pause
			continue
		}
		if !m.rest(ctx, pause, at) {
			return
		}
		pause = min(2*pause, m.pace.maxPause)
	}
}

// whereabouts is what the routing table says, or why it says nothing.
type whereabouts struct {
	route route
	err   error
}

// find looks at the routing table, and forgets a mapping that was made elsewhere.
func (m *Mapper) find() whereabouts {
	r, err := findRoute(m.cfg.Gateway)
	if m.at != r {
		m.at = r
		clear(m.left) // what is there is out of reach, and its lease ends
		if m.held != nil {
			m.drop(errMoved)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.Gateway = r.gateway
	return whereabouts{r, err}
}

// rest waits, until the network changes or, if there is a mapping that could not be renewed, until it has run out. It
// reports false when ctx has ended.
func (m *Mapper) rest(ctx context.Context, pause time.Duration, at whereabouts) bool {
	end := time.NewTimer(pause)
	defer end.Stop()
	watch := time.NewTicker(m.pace.watch)
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end.C:
			return true
		case <-watch.C:
			if now := m.find(); now.route != at.route {
				return true
			}
			m.lapse()
		}
	}
}

// lapse gives up a mapping that has run out; one without an end is still there.
func (m *Mapper) lapse() {
	if m.held != nil && !time.Now().Before(m.held.expires) {
		m.left[m.held.gateway.protocol()] = m.held.gateway
		m.drop(m.Status().Err)
	}
}

// fail notes why there is no mapping, or why the one that there is may not be there any more.
func (m *Mapper) fail(err error) {
	m.cfg.Logger.Debug("port mapping failed", "err", err)
	if errors.Is(err, errLost) || errors.Is(err, errMoved) {
		m.drop(err)
		return
	}
	m.mu.Lock()
	m.status.Err = err
	m.mu.Unlock()
	m.lapse()
}

// establish finds out which protocol the gateway speaks and maps the port.
func (m *Mapper) establish(ctx context.Context, r route) error {
	ctx, cancel := context.WithTimeout(ctx, attemptWait)
	defer cancel()
	natpmp := newNATPMP(r, m.cfg)
	err := m.ask(ctx, natpmp, r)
	if err == nil || ctx.Err() != nil {
		return err
	}
	upnp, err2 := findUPnP(ctx, r, m.cfg)
	if err2 == nil {
		err2 = m.ask(ctx, upnp, r)
	}
	if err2 == nil {
		return nil
	}
	return fmt.Errorf("%s: %w; %s: %w", NATPMP, err, UPnP, err2)
}

// ask has a gateway map the port.
func (m *Mapper) ask(ctx context.Context, g gateway, r route) error {
	began := time.Now() // its lease does not begin before
	l, err := g.mapPort(ctx, m.want, m.cfg.Lifetime)
	if err == nil {
		err = m.hear(g, r, l, began)
	}
	if err != nil {
		if m.held == nil || m.held.gateway != g {
			m.left[g.protocol()] = g // it may have done it without our hearing of it
		}
		return err
	}
	return m.tidy(ctx)
}

// hear takes in what a gateway has granted.
func (m *Mapper) hear(g gateway, r route, l lease, began time.Time) error {
	lifetime := l.lifetime
	if lifetime <= 0 || lifetime > m.cfg.Lifetime {
		lifetime = m.cfg.Lifetime
	}
	if lifetime < 2*m.pace.minRenew {
		err := fmt.Errorf("the gateway grants the port for %s only", lifetime)
		if m.held != nil && m.held.gateway == g {
			m.drop(err)
		}
		return err
	}
	delete(m.left, g.protocol())
	if m.held != nil && m.held.gateway.protocol() != g.protocol() {
		m.left[m.held.gateway.protocol()] = m.held.gateway
	}
	m.held = &holding{gateway: g, expires: began.Add(lifetime)}
	m.want = l.external.Port()
	m.mu.Lock()
	m.status = Status{Protocol: g.protocol(), Gateway: r.gateway, Renewed: time.Now()}
	m.expires = m.held.expires
	m.expiry.Reset(time.Until(m.expires))
	m.mu.Unlock()
	m.show(l.external)
	return nil
}

// tidy removes what another protocol has mapped, now that there is another mapping. To gateways with one table for both protocols
// one of the same external port is the same mapping, and some remove all that lead to our port: so it is looked at afterwards.
func (m *Mapper) tidy(ctx context.Context) error {
	for p, g := range m.left {
		if g.mapped() == m.want || g.mapped() == 0 {
			delete(m.left, p)
		}
	}
	if len(m.left) == 0 {
		return nil
	}
	if err := m.clean(ctx); err != nil {
		m.cfg.Logger.Debug("a mapping of before stays for now", "err", err)
	}
	if _, err := m.held.gateway.check(ctx); errors.Is(err, errLost) {
		return err
	}
	return nil
}

// show makes known where the gateway says that the port is open, as long as it is.
func (m *Mapper) show(external netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status.Protocol == "" {
		return // the lease is over
	}
	m.status.External = external
	if m.status.Err = usable(external.Addr()); m.status.Err != nil {
		external = netip.AddrPort{}
	}
	m.announce(external)
}

// hold keeps the mapping that there is, and returns why it ended.
func (m *Mapper) hold(ctx context.Context) error {
	renew := time.NewTimer(m.renewal()) // before the lease is over
	defer renew.Stop()
	check := time.NewTicker(m.cfg.Check)
	defer check.Stop()
	watch := time.NewTicker(m.pace.watch)
	defer watch.Stop()
	for {
		h := m.held
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.C:
			if m.find(); m.held == nil {
				return errMoved
			}
		case <-renew.C:
			if err := m.ask(ctx, h.gateway, m.at); err != nil {
				return err
			}
			renew.Reset(m.renewal())
		case <-check.C:
			ip, err := h.gateway.check(ctx)
			if err != nil {
				return err
			}
			m.show(netip.AddrPortFrom(ip, m.want))
		}
	}
}

// renewal is how long to wait with the next renewal.
func (m *Mapper) renewal() time.Duration { return time.Until(m.held.expires) / 2 }
