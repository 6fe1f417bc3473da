package downloader

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/silence"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// dialer is an endpoint that counts its dials. All times are short, but of the same order as they are by default.
type dialer struct {
	*iroh.Endpoint
	before func(n int, addr *ticket.EndpointAddr) // of the dial with that number, may be nil
	after  func(n int)                            // of one that succeeded, likewise

	mu    sync.Mutex
	dials []dial
	open  int // connections and dials at the moment
	most  int
}

type dial struct {
	began time.Time
	conn  *iroh.Conn
	lost  time.Time
}

const (
	keepAlive = 250 * time.Millisecond
	hush      = 8 * keepAlive
)

func newDialer(t testing.TB, idle time.Duration) *dialer {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := iroh.Listen(iroh.Config{
		SecretKey: secret, Listen: "127.0.0.1:0", IdleTimeout: idle, KeepAlive: keepAlive,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &dialer{Endpoint: e}
}

func (d *dialer) Dial(ctx context.Context, addr ticket.EndpointAddr, alpn string) (*iroh.Conn, error) {
	d.mu.Lock()
	n := len(d.dials)
	d.dials = append(d.dials, dial{began: time.Now()})
	d.open++
	d.most = max(d.most, d.open)
	d.mu.Unlock()
	if d.before != nil {
		d.before(n, &addr)
	}
	conn, err := d.Endpoint.Dial(ctx, addr, alpn)
	closed := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.dials[n].lost = time.Now()
		d.open--
	}
	if err != nil {
		closed()
		return nil, err
	}
	d.mu.Lock()
	d.dials[n].conn = conn
	d.mu.Unlock()
	context.AfterFunc(conn.Context(), closed)
	if d.after != nil {
		d.after(n)
	}
	return conn, nil
}

// all returns the dials so far, of which no two were beside a connection.
func (d *dialer) all(t testing.TB) []dial {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.most > 2 {
		t.Errorf("%d connections and dials at a time", d.most)
	}
	return d.dials
}

// wayTo puts a link in front of a provider.
func wayTo(t testing.TB, s *script, rate int) *fault.Proxy {
	t.Helper()
	p, err := fault.NewProxy(s.addr.Direct[0], fault.Link{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// when calls do once so many bytes have come.
type when struct {
	silent
	left int
	do   func()
}

func (w *when) Bytes(_ bao.Hash, n uint64) {
	if was := w.left; was > 0 {
		if w.left -= int(n); w.left <= 0 {
			w.do()
		}
	}
}

// A provider that is gone for good is dialed anew while its connection is silent, and that is all: when the connection ends it is known
// that nobody is there, or it is when the dial that is under way has ended.
func TestGoneProvider(t *testing.T) {
	t.Parallel()
	for name, quick := range map[string]bool{"dials have failed": true, "a dial is under way": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := contentOf(t, blobstest.RandomBytes(30, 8<<20))
			s := (&script{}).start(t, c)
			way, d := wayTo(t, s, 16<<20), newDialer(t, 5*hush/2)
			s.addr.Direct = []netip.AddrPort{way.Addr()}
			d.before = func(n int, addr *ticket.EndpointAddr) {
				if quick && n > 0 {
					addr.Direct = nil
				}
			}
			to := blobstest.OpenStore(t)
			fetching := New(Config{Store: to, Endpoint: d, SilenceTimeout: hush, StallTimeout: 3 * hush})
			stats, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.hash, ticket.Raw, &when{left: 2 << 20, do: way.Cut})
			blobstest.WantErr(t, err, blobs.ErrLost)
			dials, late := d.all(t), 0
			for _, dial := range dials {
				if dial.began.After(dials[0].lost) {
					late++
				}
			}
			if len(dials) < 2 || late > 0 || connections(stats) != 1 {
				t.Errorf("%d dials, %d of them when the connection was lost: %+v", len(dials), late, stats)
			}
			status, err := to.Status(c.hash)
			if err != nil || status.State != store.Partial || stats.Bytes == 0 {
				t.Fatalf("%v after %d bytes, %v", status.State, stats.Bytes, err)
			}
			way.Restore()
			d.before = nil
			again, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.hash, ticket.Raw, nil)
			if err != nil {
				t.Fatal(err)
			}
			blobstest.WantBlob(t, to, c.data)
			whoGave(t, again, uint64(len(c.data))-stats.Bytes)
		})
	}
}

// A provider that stalls for good is given up, unless it is just being dialed anew.
func TestStalledWhileDialing(t *testing.T) {
	for _, dials := range []bool{false, true} {
		f := newFetch(New(Config{Store: blobstest.OpenStore(t)}), []*peer{{stop: func() {}}}, bao.Hash{}, nil)
		defer f.small.Close()
		p, work := f.peers[0], plan.New(plan.Config{MinSpan: 1, MaxSpan: 1}, bao.Span(0, 1))
		p.state, p.worker, p.stats.Connections = connected, &plan.Worker{}, 1
		if p.silence = (silence.Silence{After: 1, Until: time.Hour}); dials {
			p.silence.Listen(0, time.Now())
			p.silence.Begin()
		}
		work.Join(p.worker)
		task, _ := work.Next(p.worker, time.Now())
		usable := p.fail(&job{plan: work}, task, blobs.ErrStalled)
		if want := map[bool]state{false: dead, true: dialing}[dials]; usable || p.state != want {
			t.Errorf("being dialed %t: state %d, want %d; of use %t", dials, p.state, want, usable)
		}
		if p.dialFailed(errors.New("no answer")); p.state != dead {
			t.Errorf("being dialed %t: state %d at its end", dials, p.state)
		}
	}
}

// connections sums those of all providers.
func connections(s Stats) (n int) {
	for _, p := range s.Providers {
		n += p.Connections
	}
	return n
}

// A provider whose connection falls silent, and who is reached by another way, goes on there long before the connection would end, and
// nothing comes twice.
func TestSilentProviderTakesAnotherWay(t *testing.T) {
	t.Parallel()
	blob := contentOf(t, blobstest.RandomBytes(31, 8<<20))
	var children []*content
	var seq []byte
	for i := range 2000 {
		children = append(children, contentOf(t, blobstest.RandomBytes(uint64(i), 4096)))
		seq = append(seq, children[i].hash[:]...)
	}
	root := contentOf(t, seq)
	for name, c := range map[string]struct {
		format ticket.Format
		all    []*content // the root last
	}{
		"blob":     {ticket.Raw, []*content{blob}},
		"sequence": {ticket.HashSeq, append(children, root)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := (&script{}).start(t, c.all...)
			first, second, d := wayTo(t, s, 16<<20), wayTo(t, s, 0), newDialer(t, time.Minute)
			second.Cut()
			s.addr.Direct = []netip.AddrPort{first.Addr(), second.Addr()}
			to := blobstest.OpenStore(t)
			fetching := New(Config{Store: to, Endpoint: d, SilenceTimeout: hush, StallTimeout: time.Minute})
			stats, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.all[len(c.all)-1].hash, c.format, &when{left: 2 << 20, do: func() {
				first.Cut()
				second.Restore()
			}})
			if err != nil {
				t.Fatal(err)
			}
			var want uint64
			for _, c := range c.all {
				want += uint64(len(c.data))
				blobstest.WantBlob(t, to, c.data)
			}
			whoGave(t, stats, want)
			if dials := d.all(t); len(dials) != 2 || connections(stats) != 2 {
				t.Errorf("%d dials, %+v", len(dials), stats)
			} else if cause := context.Cause(dials[0].conn.Context()); !errors.As(cause, new(*quic.ApplicationError)) {
				t.Errorf("the first connection ended for %v", cause)
			}
			if most := want + want/10; stats.Received > most {
				t.Errorf("%d bytes read for %d", stats.Received, want)
			}
		})
	}
}

// A provider that lives and brings nothing for long is not dialed anew.
func TestSlowProviderIsNotDialedAnew(t *testing.T) {
	t.Parallel()
	c := contentOf(t, blobstest.RandomBytes(32, 1<<20))
	s := (&script{begin: func(int, *iroh.Conn) bool {
		time.Sleep(3 * hush)
		return true
	}}).start(t, c)
	d := newDialer(t, time.Minute)
	fetching := New(Config{Store: blobstest.OpenStore(t), Endpoint: d, SilenceTimeout: hush, StallTimeout: time.Minute})
	stats, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.hash, ticket.Raw, nil)
	if err != nil || len(d.all(t)) != 1 || connections(stats) != 1 {
		t.Errorf("%d dials, %+v, %v", len(d.dials), stats, err)
	}
}

// A connection that comes back to life while its provider is dialed anew is kept, and the new one is closed.
func TestSilenceEndsWhileDialing(t *testing.T) {
	t.Parallel()
	c := contentOf(t, blobstest.RandomBytes(33, 8<<20))
	s := (&script{}).start(t, c)
	way, d := wayTo(t, s, 16<<20), newDialer(t, time.Minute)
	s.addr.Direct = []netip.AddrPort{way.Addr()}
	d.before = func(n int, _ *ticket.EndpointAddr) {
		if n == 0 {
			return
		}
		old := d.dials[0].conn
		had := old.Info().Received.Packets
		way.Restore()
		for old.Info().Received.Packets == had && old.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	to := blobstest.OpenStore(t)
	fetching := New(Config{Store: to, Endpoint: d, SilenceTimeout: hush, StallTimeout: time.Minute})
	stats, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.hash, ticket.Raw, &when{left: 2 << 20, do: way.Cut})
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, c.data)
	if dials := d.all(t); len(dials) != 2 || connections(stats) != 1 || stats.Providers[0].Duplicate > 0 {
		t.Errorf("%d dials, %+v", len(dials), stats)
	}
}

// A provider that answers dials, and nothing after, is not dialed for ever.
func TestProviderThatOnlyAnswersDials(t *testing.T) {
	t.Parallel()
	c := contentOf(t, blobstest.RandomBytes(34, 1<<20))
	s := (&script{}).start(t, c)
	d := newDialer(t, 2*hush)
	var way *fault.Proxy
	d.before = func(_ int, addr *ticket.EndpointAddr) {
		way = wayTo(t, s, 0)
		addr.Direct = []netip.AddrPort{way.Addr()}
	}
	d.after = func(int) { way.Cut() }
	fetching := New(Config{Store: blobstest.OpenStore(t), Endpoint: d, SilenceTimeout: hush, StallTimeout: 4 * hush})
	stats, err := fetching.Fetch(blobstest.Deadline(t), addrs(s), c.hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, blobs.ErrLost)
	if dials := d.all(t); len(dials) != maxAttempts || connections(stats) != maxAttempts {
		t.Errorf("%d dials, %+v", len(dials), stats)
	}
}
