package iroh

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/internal/home"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// relayed is an endpoint whose home is a relay.
func relayed(t testing.TB, servers ...*peer.RelayServer) *Endpoint {
	t.Helper()
	e := relaysOf(t, servers...)
	if err := e.WaitRelay(deadline(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

// relaysOf is an endpoint that has only just begun to look for its home. It tells nobody where else it is, so that connections stay
// where they began.
func relaysOf(t testing.TB, servers ...*peer.RelayServer) *Endpoint {
	t.Helper()
	return endpoint(t, "127.0.0.1", func(c *Config) {
		c.HideAddrs = true
		for _, s := range servers {
			n, err := relay.ParseNode(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			c.Relays = append(c.Relays, n)
			if s.Roots != nil {
				c.RelayRoots = s.Roots
			}
		}
	})
}

// byRelay is the address of e without its direct addresses.
func byRelay(e *Endpoint) ticket.EndpointAddr {
	a := e.Addr()
	a.Direct = nil
	return a
}

// serve echoes on all connections that somebody makes to e, and hands them out.
func serve(t testing.TB, e *Endpoint) <-chan *Conn {
	conns := make(chan *Conn, 100)
	ctx := deadline(t)
	go func() {
		for {
			c, err := e.Accept(ctx)
			if err != nil {
				return
			}
			conns <- c
			go echo(ctx, c)
		}
	}()
	return conns
}

// exchange sends data on a stream and expects it back.
func exchange(t testing.TB, c *Conn, data []byte) {
	t.Helper()
	s, err := c.OpenStream(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		sent <- errors.Join(err, s.Close())
	}()
	got, err := io.ReadAll(s)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes came back: %v", len(got), len(data), err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestDialThroughARelay(t *testing.T) {
	for name, cfg := range map[string]peer.RelayConfig{"plain": {}, "tls": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			server := peertest.Relay(t, cfg)
			a, b := relayed(t, server), relayed(t, server)
			conns := serve(t, b)
			if home := byRelay(b).Relays; len(home) != 1 || home[0] != server.URL {
				t.Fatalf("home is %v", home)
			}
			c, err := a.Dial(deadline(t), byRelay(b), testALPN)
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, c, random(5<<20))
			accepted := <-conns
			for _, end := range []*Conn{c, accepted} {
				if p := end.Path(); p.Relay != server.URL || p.Addr.IsValid() || p.String() != server.URL {
					t.Errorf("path %v", p)
				}
				if end.RemoteAddr().IsValid() {
					t.Errorf("remote address %v", end.RemoteAddr())
				}
			}
			if states := a.RelayStates(); len(states) != 1 || !states[0].Home || !states[0].Connected {
				t.Errorf("states %+v", states)
			}
			// The close reaches the other side although the relay is left at once.
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			eventually(t, "the peer is told", func() bool { return b.connCount() == 0 })
		})
	}
}

// Peers need not have the same home: the dialer goes to the relay of the other one.
func TestDialAtAForeignRelay(t *testing.T) {
	ours, theirs := peertest.Relay(t, peer.RelayConfig{}), peertest.Relay(t, peer.RelayConfig{})
	a, b := relayed(t, ours), relayed(t, theirs)
	serve(t, b)
	c, err := a.Dial(deadline(t), byRelay(b), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c, random(100_000))
	if c.Path().Relay != theirs.URL || a.HomeRelay() != ours.URL {
		t.Errorf("path %v, home %s", c.Path(), a.HomeRelay())
	}
	if states := a.RelayStates(); len(states) != 2 || !states[0].Home || states[1].Home || states[1].URL != theirs.URL {
		t.Errorf("states %+v", states)
	}
}

func TestDirectWinsWhereItAnswers(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	a, b := relayed(t, server), relayed(t, server)
	serve(t, b)
	for range 5 {
		began := time.Now()
		c, err := a.Dial(deadline(t), b.Addr(), testALPN)
		if err != nil {
			t.Fatal(err)
		}
		// It need not answer before the relay is tried, on a machine that has other things to do.
		if took := time.Since(began); c.Path().Addr != b.socket.local && took < relayStagger {
			t.Errorf("path %v after %s", c.Path(), took)
		}
		c.CloseWithError(0, "")
	}
}

// The relay of a peer is made ready at once, so that a dial that needs it does not have to wait for it, whether or not this one does.
func TestRelayIsReadyWhileDirectPathsAreTried(t *testing.T) {
	ours, theirs := peertest.Relay(t, peer.RelayConfig{}), peertest.Relay(t, peer.RelayConfig{})
	a, b := relayed(t, ours), relayed(t, theirs)
	serve(t, b)
	if _, err := a.Dial(deadline(t), b.Addr(), testALPN); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay is connected", func() bool {
		states := a.RelayStates()
		return len(states) == 2 && states[1].URL == theirs.URL && states[1].Connected
	})
}

// throughProxy is the address of e by its relay and by a proxy that can be cut.
func throughProxy(t *testing.T, e *Endpoint) (ticket.EndpointAddr, *fault.Proxy) {
	t.Helper()
	proxy, err := fault.NewProxy(e.socket.local, fault.Link{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	addr := byRelay(e)
	addr.Direct = []netip.AddrPort{proxy.Addr()}
	return addr, proxy
}

// A connection that began on the relay moves to a direct path as soon as that works.
func TestConnectionMoves(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	a, b := relayed(t, server), relayed(t, server)
	conns := serve(t, b)
	addr, proxy := throughProxy(t, b)
	proxy.Cut()
	c, err := a.Dial(deadline(t), addr, testALPN)
	if err != nil {
		t.Fatal(err)
	}
	if c.Path().Relay != server.URL {
		t.Fatalf("began on %v", c.Path())
	}
	accepted := <-conns
	exchange(t, c, random(100_000))
	proxy.Restore()
	eventually(t, "it is direct", func() bool { return c.Path().Addr == proxy.Addr() })
	exchange(t, c, random(20<<20))
	if p := accepted.Path(); p.Relay != "" || !p.Addr.IsValid() {
		t.Errorf("the other side is on %v", p)
	}
	if n := proxy.Counts(); n.ToTarget < 20<<20 || n.ToClients < 20<<20 {
		t.Errorf("only %d and %d bytes went directly", n.ToTarget, n.ToClients)
	}
	server.Kill() // nobody needs it any more
	exchange(t, c, random(1<<20))
}

// It moves in the middle of a transfer, which does not notice.
func TestConnectionMovesDuringATransfer(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	a, b := relayed(t, server), relayed(t, server)
	serve(t, b)
	addr, proxy := throughProxy(t, b)
	proxy.Cut()
	c, err := a.Dial(deadline(t), addr, testALPN)
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(50*time.Millisecond, proxy.Restore)
	defer timer.Stop()
	for c.Path().Relay != "" {
		exchange(t, c, random(8<<20))
	}
	exchange(t, c, random(8<<20))
}

// A relay that restarts in the middle of a transfer costs a pause.
func TestRelayRestartsDuringATransfer(t *testing.T) {
	dir := t.TempDir()
	server := peertest.Relay(t, peer.RelayConfig{Dir: dir})
	a, b := relayed(t, server), relayed(t, server)
	serve(t, b)
	c, err := a.Dial(deadline(t), byRelay(b), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStream(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	data := random(64 << 20)
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		sent <- errors.Join(err, s.Close())
	}()
	got := make([]byte, 0, len(data))
	for len(got) < len(data) {
		if len(got) == 8<<20 {
			server.Kill()
			time.Sleep(500 * time.Millisecond)
			peertest.Relay(t, peer.RelayConfig{Dir: dir, Port: server.Port})
		}
		n, err := io.ReadFull(s, got[len(got):len(got)+(1<<20)])
		got = got[:len(got)+n]
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
	if err := <-sent; err != nil || !bytes.Equal(got, data) {
		t.Errorf("other bytes came back; %v", err)
	}
}

// Many peers can dial at once through one relay, although they count as one source.
func TestManyDialThroughARelay(t *testing.T) {
	t.Cleanup(func() { // other tests look at the heap: the pools of all these endpoints are empty after two collections
		runtime.GC()
		runtime.GC()
	})
	server := peertest.Relay(t, peer.RelayConfig{})
	b := relayed(t, server)
	serve(t, b)
	addr := byRelay(b)
	errs := make(chan error, 100)
	var peers []*Endpoint
	for range cap(errs) {
		peers = append(peers, relayed(t, server))
	}
	for _, a := range peers {
		go func() {
			c, err := a.Dial(deadline(t), addr, testALPN)
			if err == nil {
				err = c.CloseWithError(0, "")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Of several relays the one that answers becomes the home, and another one when that goes away.
func TestHomeRelayIsReplaced(t *testing.T) {
	first, second := peertest.Relay(t, peer.RelayConfig{}), peertest.Relay(t, peer.RelayConfig{})
	e := relayed(t, first, second)
	gone, other := first, second
	if e.HomeRelay() == second.URL {
		gone, other = second, first
	}
	gone.Kill()
	eventually(t, "the other relay is the home", func() bool { return e.HomeRelay() == other.URL })
	client := relayed(t, other)
	serve(t, e)
	c, err := client.Dial(deadline(t), byRelay(e), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c, random(1000))
}

func TestRelayFailures(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	quick := func(c *Config) { c.HandshakeTimeout = 500 * time.Millisecond }
	u, err := relay.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	a := endpoint(t, "127.0.0.1", quick, func(c *Config) { c.Relays = relay.Map{{URL: u}} })
	stranger := testKey(t).ID()
	for name, url := range map[string]string{"nobody has that id": server.URL, "nobody is that relay": "http://127.0.0.1:9/"} {
		_, err := a.Dial(deadline(t), ticket.EndpointAddr{ID: stranger, Relays: []string{url}}, testALPN)
		var failed *DialError
		if !errors.As(err, &failed) || !errors.Is(err, ErrNoAnswer) || len(failed.Attempts) != 1 || failed.Attempts[0].Relay != url {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := relayed(t, server)
	if _, err := relayed(t, server).Dial(deadline(t), byRelay(b), "other/1"); !errors.Is(err, ErrProtocol) {
		t.Errorf("another protocol: %v", err)
	}
	none := endpoint(t, "127.0.0.1")
	if err := none.WaitRelay(deadline(t)); err == nil || none.HomeRelay() != "" || none.RelayStates() != nil {
		t.Errorf("an endpoint without relays waits: %v", err)
	}
}

func TestRelayConfigIsChecked(t *testing.T) {
	for name, relays := range map[string]relay.Map{"no relay": {{}}, "too many": make(relay.Map, home.MaxRelays)} {
		if _, err := Listen(Config{SecretKey: testKey(t), Listen: "127.0.0.1:0", Relays: relays}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
