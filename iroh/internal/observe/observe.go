package observe

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// Config says whom to ask, and from where. All but Roots is required.
type Config struct {
	Relays    relay.Map
	Roots     *x509.CertPool // trusted to certify relays; nil are those of the system
	Transport *quic.Transport
	Conn      *paths.Conn             // under Transport
	V4, V6    bool                    // what the socket speaks
	Local     func() []netip.AddrPort // where the machine itself thinks that the socket is, loopback among it
	Logger    *slog.Logger
}

// Sight is what one relay sees over one version of IP.
type Sight struct {
	Server netip.AddrPort // that said so
	Addr   netip.AddrPort // where it sees us, or saw us the last time; zero if it never has
	RTT    time.Duration
	At     time.Time // when it saw us; zero if it never has
	Err    error     // why it did not in the last round
	asked  bool
}

// Asked reports whether the relay was asked, or was to be but has no address of this version of IP, see ErrFamily.
func (s Sight) Asked() bool { return s.asked }

// Seen is what one relay of the configuration has said, and how far away it is.
type Seen struct {
	URL    relay.URL
	V4, V6 Sight
	Ping   relay.Latency // of the last thorough round; its URL is zero before
}

// Latency is how far away the relay is: as address discovery says, else as pings do; zero if neither does.
func (s *Seen) Latency() time.Duration {
	var best time.Duration
	for _, one := range []Sight{s.V4, s.V6} {
		if one.asked && one.Err == nil && (best == 0 || one.RTT < best) {
			best = one.RTT
		}
	}
	if best == 0 && s.Ping.Err == nil {
		return s.Ping.Value
	}
	return best
}

// Observer asks relays from time to time. Its methods may be called from any goroutine.
type Observer struct {
	cfg   Config
	ctx   context.Context // for as long as it is not closed
	stop  context.CancelFunc
	wg    sync.WaitGroup // the loop, and who looks after kept
	again chan struct{}  // asks for a round
	turn  chan struct{}  // held by the round that is under way

	// Of the round that is under way.
	began    time.Time // when it began
	thorough bool

	mu      sync.Mutex
	seen    []Seen
	kept    *link         // the connection that stays open; nil for none
	changed chan struct{} // closed and replaced when Addrs may be others
}

// Start begins to ask. The caller must call Close, before the transport is closed.
func Start(cfg Config) *Observer {
	o := &Observer{
		cfg: cfg, again: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		seen: make([]Seen, len(cfg.Relays)), changed: make(chan struct{}),
	}
	for i, n := range cfg.Relays {
		o.seen[i].URL = n.URL
	}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.wg.Go(o.run)
	return o
}

func (o *Observer) run() {
	if !slices.ContainsFunc(o.cfg.Relays, func(n relay.Node) bool { return n.QAD() != 0 }) {
		return
	}
	thorough := len(o.cfg.Relays) > 1 // the first one, which whoever chooses among the relays shares
	for ; ; thorough = false {
		began := time.Now()
		answered := slices.ContainsFunc(o.Round(o.ctx, thorough), func(s Seen) bool {
			return s.V4.asked && s.V4.Err == nil || s.V6.asked && s.V6.Err == nil
		})
		wait := roundEvery
		if !answered {
			wait = retryEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-o.again:
			timer.Reset(max(settle, minGap-time.Since(began)))
			select {
			case <-timer.C:
			case <-o.ctx.Done():
			}
		case <-o.ctx.Done():
		}
		timer.Stop()
		if o.ctx.Err() != nil {
			return
		}
	}
}

// Again says that the network may be another one.
func (o *Observer) Again() {
	o.keep(nil)
	o.poke()
}

func (o *Observer) poke() {
	select {
	case o.again <- struct{}{}:
	default:
	}
}

// Changed returns a channel that is closed when Addrs may be others than at the time of this call.
func (o *Observer) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// Seen returns what is known of each relay of the configuration, in its order.
func (o *Observer) Seen() []Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// NAT is what the last round says of the NAT for IPv4.
func (o *Observer) NAT() NAT {
	local := o.cfg.Local()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.nat(local)
}

func (o *Observer) nat(local []netip.AddrPort) NAT {
	var v4 []Sight
	for _, s := range o.seen {
		v4 = append(v4, s.V4)
	}
	return kind(v4, local)
}

// Addrs are the addresses under which others see the endpoint and may reach it, as far as that is known and not too long ago.
func (o *Observer) Addrs() []netip.AddrPort {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []netip.AddrPort
	add := func(s Sight) {
		if s.Addr.IsValid() && time.Since(s.At) < fresh && !slices.Contains(out, s.Addr) {
			out = append(out, s.Addr)
		}
	}
	var v4 []Sight
	for _, s := range o.seen {
		if time.Since(s.V4.At) < fresh {
			s.V4.Err = nil // one answer that is lost does not make addresses good for everybody
			v4 = append(v4, s.V4)
		}
	}
	if kind(v4, nil) != EndpointDependent {
		for _, s := range v4 {
			add(s)
		}
	}
	for _, s := range o.seen {
		add(s.V6)
	}
	return out
}

// Measure is a round that says how far away each relay is.
func (o *Observer) Measure(ctx context.Context) []relay.Latency {
	return latencies(o.Round(ctx, true), context.Cause(ctx))
}

// latencies are those of what a thorough round has left; cut is why it was cut short, if it was.
func latencies(seen []Seen, cut error) []relay.Latency {
	var out []relay.Latency
	for _, s := range seen {
		l := relay.Latency{URL: s.URL, Value: s.Latency(), Date: s.Ping.Date, At: s.Ping.At}
		switch {
		case s.Ping.Err != nil: // what relays is reached by TCP, however well address discovery answers
			l.Value, l.Err = 0, s.Ping.Err
		case l.Value == 0:
			l.Err = errors.Join(s.V4.Err, s.V6.Err, cut)
		}
		out = append(out, l)
	}
	return out
}

// Close ends everything and waits for it.
func (o *Observer) Close() {
	o.stop()
	o.turn <- struct{}{} // no round is under way any more, nor will one be
	o.keep(nil)
	o.wg.Wait()
}
