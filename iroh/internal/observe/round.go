package observe

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// Round asks the relays and returns what is known then. A thorough one also thorough them, and does not believe the connection that
// it has. Rounds take turns; who has to wait for one that has begun just now or meanwhile shares it.
func (o *Observer) Round(ctx context.Context, thorough bool) []Seen {
	asked := time.Now()
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return o.Seen()
	case <-o.ctx.Done():
		return o.Seen()
	}
	defer func() { <-o.turn }()
	if o.began.After(asked.Add(-settle)) && (o.thorough || !thorough) {
		return o.Seen()
	}
	o.began, o.thorough = time.Now(), thorough
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	found, links := o.ask(ctx, thorough)
	o.choose(links)
	whole := ctx.Err() == nil
	if !whole {
		o.began = time.Time{} // nobody shares it
	}
	return o.store(found, whole)
}

// ask asks all at once.
func (o *Observer) ask(ctx context.Context, thorough bool) (found []Seen, links []*link) {
	found = make([]Seen, len(o.cfg.Relays))
	var all sync.WaitGroup
	var latencies []relay.Latency
	if thorough {
		all.Go(func() {
			latencies = relay.Probe(ctx, o.cfg.Relays, relay.ProbeConfig{Roots: o.cfg.Roots, Timeout: askTime})
		})
	}
	links = make([]*link, len(o.cfg.Relays))
	asked := 0
	for i, n := range o.cfg.Relays {
		if n.QAD() == 0 || asked == maxAsked {
			continue
		}
		asked++
		if o.cfg.V4 {
			all.Go(func() { found[i].V4, links[i] = o.askOne(ctx, n, false, thorough) })
		}
		if o.cfg.V6 {
			all.Go(func() {
				var l *link
				if found[i].V6, l = o.askOne(ctx, n, true, thorough); l != nil {
					l.close()
				}
			})
		}
	}
	all.Wait()
	for i := range latencies {
		found[i].Ping = latencies[i]
	}
	return found, slices.DeleteFunc(links, func(l *link) bool { return l == nil })
}

// askOne asks on the connection that there is, unless it has to be a new one.
func (o *Observer) askOne(ctx context.Context, n relay.Node, v6, anew bool) (Sight, *link) {
	if l := o.keeps(n.URL); l != nil && !v6 && !anew {
		s := l.seen()
		s.asked = true
		return s, l
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	l, err := o.connect(ctx, n, v6)
	if err != nil {
		o.cfg.Logger.Debug("iroh address discovery failed", "relay", n.URL.String(), "ipv6", v6, "err", err)
		return Sight{Err: err, asked: true}, nil
	}
	s := l.seen()
	s.asked = true
	return s, l
}

// keeps returns the link that stays open if it is to a relay and lives.
func (o *Observer) keeps(u relay.URL) *link {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept != nil && o.kept.relay == u && o.kept.conn.Context().Err() == nil {
		return o.kept
	}
	return nil
}

// choose keeps one link: that which is kept already, else the shortest. The others are closed.
func (o *Observer) choose(links []*link) {
	o.mu.Lock()
	best := o.kept
	o.mu.Unlock()
	if !slices.Contains(links, best) && len(links) > 0 {
		best = slices.MinFunc(links, func(a, b *link) int { return cmp.Compare(a.seen().RTT, b.seen().RTT) })
	}
	for _, l := range links {
		if l != best {
			l.close()
		}
	}
	o.keep(best)
}

// keep makes a link, or none, the one that stays open.
func (o *Observer) keep(l *link) {
	o.mu.Lock()
	old := o.kept
	o.kept = l
	o.mu.Unlock()
	if old == l {
		return
	}
	if old != nil {
		old.close()
	}
	if l != nil {
		o.wg.Go(func() { o.follow(l) })
	}
}

// follow takes what the relay reports later, and asks for a round when the link breaks.
func (o *Observer) follow(l *link) {
	for {
		addr, changed := l.session.Seen()
		if o.take(l, addr) {
			// A relay that tells another address in every packet would have each of them published.
			pause := time.NewTimer(minGap)
			select {
			case <-pause.C:
			case <-l.conn.Context().Done():
				pause.Stop()
			}
		}
		select {
		case <-changed:
		case <-l.conn.Context().Done():
			l.unwatch()
			o.mu.Lock()
			broken := o.kept == l // nobody has closed it
			if broken {
				o.kept = nil
			}
			o.mu.Unlock()
			if broken {
				o.cfg.Logger.Debug("iroh address discovery: the connection that was kept ended", "relay", l.relay.String(), "err", context.Cause(l.conn.Context()))
				o.poke()
			}
			return
		}
	}
}

// take notes where the relay of the link that is kept sees us now, and tells whether that is news.
func (o *Observer) take(l *link, addr netip.AddrPort) (news bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.seen {
		if s := &o.seen[i]; o.kept == l && s.URL == l.relay && s.V4.Addr.IsValid() && s.V4.Addr != addr {
			s.V4.Addr, s.V4.At = addr, time.Now()
			o.wake()
			o.poke() // what others saw is not so any more
			news = true
		}
	}
	return news
}

// store takes over what a round has found, if that was not cut short.
func (o *Observer) store(found []Seen, whole bool) []Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.seen {
		s, f := &o.seen[i], found[i]
		s.V4, s.V6 = s.V4.after(f.V4, whole), s.V6.after(f.V6, whole)
		if !f.Ping.URL.IsZero() && (whole || f.Ping.Err == nil) {
			s.Ping = f.Ping
		}
	}
	o.wake()
	return slices.Clone(o.seen)
}

// after is what is known after a round.
func (s Sight) after(found Sight, whole bool) Sight {
	switch {
	case found.asked && found.Err == nil:
		return found
	case found.asked && whole:
		s.Err, s.asked = found.Err, true
	}
	return s
}

// wake says that addresses may be others. The mutex is held.
func (o *Observer) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}
