package iroh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// slow is a source that knows one endpoint and takes its time; without an address it waits until nobody wants to know.
type slow struct {
	name string
	addr ticket.EndpointAddr
	wait time.Duration
}

func (s slow) Name() string { return s.name }

func (s slow) Resolve(ctx context.Context, _ key.EndpointID) (record.Record, error) {
	if s.wait == 0 {
		<-ctx.Done()
		return record.Record{}, ctx.Err()
	}
	sleep(ctx, s.wait)
	return record.New(s.addr), ctx.Err()
}

// finder is an endpoint with a resolver.
func finder(t testing.TB, sources ...discovery.Source) *Endpoint {
	t.Helper()
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: sources})
	t.Cleanup(func() { r.Close() }) // after the endpoint
	return endpoint(t, "127.0.0.1", func(c *Config) {
		c.Resolver, c.HandshakeTimeout = r, 2*time.Second
	})
}

// The first source is wrong and the second one hangs; the third one takes its time and is right.
func TestDialByIDAlone(t *testing.T) {
	server := endpoint(t, "127.0.0.1")
	wrong := new(discovery.Static)
	wrong.Add(at(server, silent(t, "127.0.0.1")))
	client := finder(t, wrong, slow{name: "silent"}, slow{"slow", server.Addr(), 300 * time.Millisecond})
	start := time.Now()
	c, err := client.Dial(deadline(t), ticket.EndpointAddr{ID: server.ID()}, testALPN)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 300*time.Millisecond || took > 10*time.Second || c.RemoteAddr() != server.socket.local {
		t.Errorf("%s after %s", c.RemoteAddr(), took)
	}
}

// What a ticket says is tried at once and in vain; the resolver knows better.
func TestDialFindsAPeerThatHasMoved(t *testing.T) {
	server := endpoint(t, "127.0.0.1")
	known := new(discovery.Static)
	known.Add(server.Addr())
	client := finder(t, known)
	for _, old := range []ticket.EndpointAddr{
		at(server, silent(t, "127.0.0.1")),
		at(server, endpoint(t, "127.0.0.1").socket.local),          // somebody else answers there
		{ID: server.ID(), Relays: []string{"https://relay.test/"}}, // and we use none
	} {
		c, err := client.Dial(deadline(t), old, testALPN)
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr() != server.socket.local {
			t.Errorf("connected to %s", c.RemoteAddr())
		}
	}
}

// A peer that answers where it is said to be costs no look-up.
func TestDialAsksNobodyWhileThePeerAnswers(t *testing.T) {
	server := endpoint(t, "127.0.0.1")
	asked := make(counting, 20)
	client := endpoint(t, "127.0.0.1", func(c *Config) { c.Resolver = asked })
	quickOnce(t, lookupStagger, func() (begun time.Time) {
		before := len(asked)
		begun = time.Now()
		if _, err := client.Dial(deadline(t), server.Addr(), testALPN); err != nil {
			t.Fatal(err)
		}
		if len(asked) != before && time.Since(begun) < lookupStagger {
			t.Error("the resolver was asked")
		}
		return begun
	})
	before := len(asked)
	if _, err := client.Dial(deadline(t), ticket.EndpointAddr{ID: testKey(t).ID()}, testALPN); len(asked) != before+1 || !errors.Is(err, errNothing) {
		t.Errorf("asked %d times: %v", len(asked), err)
	}
}

var errNothing = errors.New("nothing")

type counting chan key.EndpointID

func (c counting) Follow(_ context.Context, id key.EndpointID, _ func(ticket.EndpointAddr) bool) error {
	c <- id
	return errNothing
}

// The resolver knows a relay alone.
func TestDialByIDThroughARelay(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	b := relayed(t, server)
	known := new(discovery.Static)
	known.Add(byRelay(b))
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{known}})
	t.Cleanup(func() { r.Close() })
	home, err := relay.ParseMap(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	a := endpoint(t, "127.0.0.1", func(c *Config) { c.Resolver, c.Relays = r, home })
	c, err := a.Dial(deadline(t), ticket.EndpointAddr{ID: b.ID()}, testALPN)
	if err != nil {
		t.Fatal(err)
	}
	if c.Path().Relay != server.URL {
		t.Errorf("connected by %v", c.Path())
	}
}

// A ticket names the relay alone, which answers at once; the resolver knows the way that is better.
func TestRelayedConnectionLearnsADirectPath(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	b := relayed(t, server)
	conns := serve(t, b)
	known := new(discovery.Static)
	known.Add(at(b, silent(t, "127.0.0.1"), b.socket.local))
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{known, slow{name: "silent"}}})
	t.Cleanup(func() { r.Close() })
	home, err := relay.ParseMap(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	a := endpoint(t, "127.0.0.1", func(c *Config) { c.Resolver, c.Relays = r, home })
	began := time.Now()
	c, err := a.Dial(deadline(t), byRelay(b), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Path(); p.Relay != server.URL && time.Since(began) < lookupStagger {
		t.Errorf("began on %v", p)
	}
	eventually(t, "it moves", func() bool { return c.Path().Addr == b.socket.local })
	<-conns
	exchange(t, c, random(100_000))
}

// Nobody but the peer itself knows the way that is better: it says so in the handshake through the relay, if it has no reason to hide.
func TestRelayedConnectionIsToldADirectPath(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	home, err := relay.ParseMap(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, hides := range []bool{false, true} {
		b := endpoint(t, "127.0.0.1", func(c *Config) { c.Relays, c.HideAddrs = home, hides })
		if err := b.WaitRelay(deadline(t)); err != nil {
			t.Fatal(err)
		}
		conns := serve(t, b)
		c, err := relayed(t, server).Dial(deadline(t), byRelay(b), testALPN)
		if err != nil {
			t.Fatal(err)
		}
		if hides {
			time.Sleep(2 * firstSeek)
			if p := c.Path(); p.Relay != server.URL {
				t.Errorf("it hides, and the connection goes by %v", p)
			}
			continue
		}
		eventually(t, "it moves", func() bool { return c.Path().Addr == b.socket.local })
		exchange(t, c, random(100_000))
		if p := (<-conns).Path(); p.Relay != "" {
			t.Errorf("the other side is on %v", p)
		}
	}
}

// stranger is a source that knows nobody.
type stranger string

func (s stranger) Name() string { return string(s) }

func (stranger) Resolve(context.Context, key.EndpointID) (record.Record, error) {
	return record.Record{}, discovery.ErrNotFound
}

func TestDialErrorsNameWhatWasAsked(t *testing.T) {
	id := testKey(t).ID()
	nobody, wrong := new(discovery.Static), new(discovery.Static)
	dead := silent(t, "127.0.0.1")
	wrong.Add(ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{dead}})
	onlyV6 := new(discovery.Static)
	onlyV6.Add(ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:1")}})
	for _, c := range []struct {
		name     string
		source   discovery.Source
		addr     ticket.EndpointAddr
		is       []error
		attempts int
		words    []string
	}{
		{"nobody is asked", nobody, ticket.EndpointAddr{ID: id}, []error{discovery.ErrNotFound, ErrNoAddress}, 0, []string{"nothing is configured"}},
		{"nobody knows", stranger("dns"), ticket.EndpointAddr{ID: id}, []error{discovery.ErrNotFound, ErrNoAddress}, 0, []string{"dns"}},
		{"nobody knows another address", stranger("dns"), ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{dead}}, []error{discovery.ErrNotFound, ErrNoAnswer}, 1, []string{dead.String(), "dns"}},
		{"what is known is wrong", wrong, ticket.EndpointAddr{ID: id}, []error{ErrNoAnswer}, 1, []string{dead.String()}},
		{"what is known is of no use", onlyV6, ticket.EndpointAddr{ID: id}, []error{ErrNoAddress}, 0, []string{"listen on [::]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := finder(t, c.source)
			_, err := client.Dial(deadline(t), c.addr, testALPN)
			var d *DialError
			if !errors.As(err, &d) || len(d.Attempts) != c.attempts || d.ID != id {
				t.Fatalf("got %v", err)
			}
			for _, is := range c.is {
				wantErr(t, err, is)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestDialByIDEnds(t *testing.T) {
	client := finder(t, slow{name: "silent"})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := client.Dial(ctx, ticket.EndpointAddr{ID: testKey(t).ID()}, testALPN)
	wantErr(t, err, context.DeadlineExceeded)
	if !strings.Contains(fmt.Sprint(err), "no address found yet") {
		t.Errorf("unhelpful: %v", err)
	}

	failed := make(chan error, 1)
	go func() {
		_, err := client.Dial(context.Background(), ticket.EndpointAddr{ID: testKey(t).ID()}, testALPN)
		failed <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-failed, ErrClosed)
}

// A source that names thousands of strangers makes us send to a few of them only.
func TestDialByIDIsBounded(t *testing.T) {
	server := endpoint(t, "127.0.0.1")
	addr := ticket.EndpointAddr{ID: server.ID()}
	for i := range 5000 {
		addr.Direct = append(addr.Direct, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(i+1)))
	}
	r := newRace(finder(t, new(discovery.Static)), server.ID(), testALPN)
	for range 10 {
		r.add(addr)
		addr.Direct = addr.Direct[500:]
	}
	if len(r.pending) != cap(r.results) || cap(r.results) > 2*(maxDialAddrs+maxDialRelays) {
		t.Errorf("%d addresses to try, room for %d results", len(r.pending), cap(r.results))
	}
}
