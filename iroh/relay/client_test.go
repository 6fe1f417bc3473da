package relay

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// relays are the two kinds of real relays: plain HTTP with a challenge, and TLS with keying material.
func relays(t *testing.T, test func(t *testing.T, r *peer.RelayServer)) {
	for name, cfg := range map[string]peer.RelayConfig{"plain": {}, "tls": {TLS: true}} {
		t.Run(name, func(t *testing.T) { test(t, peertest.Relay(t, cfg)) })
	}
}

func TestDatagramsThroughARealRelay(t *testing.T) {
	relays(t, func(t *testing.T, r *peer.RelayServer) {
		a, b := join(t, r.URL, r.Roots).reachable(t), join(t, r.URL, r.Roots).reachable(t)
		send := func(from, to *member, ecn uint8, segment int, data string) {
			t.Helper()
			if !from.Send(Datagrams{Peer: to.id, ECN: ecn, Segment: segment, Data: []byte(data)}) {
				t.Fatal("not queued")
			}
		}
		send(a, b, 0, 0, "one")
		b.want(t, a.id, 0, "one")
		send(b, a, 2, 3, "abcdefgh")
		a.want(t, b.id, 2, "abc", "def", "gh")
		send(a, a, 3, 0, "to myself")
		a.want(t, a.id, 3, "to myself")
		large := strings.Repeat("x", 1200)
		send(a, b, 1, 1200, strings.Repeat(large, 54)) // 64,800 bytes
		for range 54 {
			b.want(t, a.id, 1, large)
		}
		single := strings.Repeat("y", MaxDatagrams)
		send(a, b, 0, 0, single)
		b.want(t, a.id, 0, single)
		eventually(t, "a latency is known", func() bool { return a.State().Latency > 0 })
		if s := a.State(); !s.Connected || s.Err != nil || s.Problem != "" {
			t.Errorf("state %+v", s)
		}
	})
}

// What nobody may send does not reach the relay, which would drop the receiver.
func TestUnsendableDatagramsAreRefused(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{})
	a, b := join(t, r.URL, nil).reachable(t), join(t, r.URL, nil).reachable(t)
	for _, d := range []Datagrams{
		{Peer: b.id}, {Peer: b.id, Data: make([]byte, MaxDatagrams+1)}, {Peer: b.id, Segment: -1, Data: []byte("x")},
		{Peer: b.id, Segment: MaxDatagrams + 1, Data: []byte("x")},
	} {
		if a.Send(d) {
			t.Errorf("%d bytes with segment %d were queued", len(d.Data), d.Segment)
		}
	}
	a.Send(Datagrams{Peer: b.id, Data: []byte("good")})
	b.want(t, a.id, 0, "good")
}

// Everything that was queued in order arrives in order, whatever was merged on the way.
func TestManySizesStayInOrder(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{})
	a, b := join(t, r.URL, nil).reachable(t), join(t, r.URL, nil).reachable(t)
	sizes := []int{5, 5, 5, 3, 5, 7, 7, 1, 1, 1, 1200, 1200, 1200, 800, 40, 40}
	for round := range 50 {
		var want []string
		for i, n := range sizes {
			data := strings.Repeat(string(rune('a'+(round+i)%26)), n)
			if !a.Send(Datagrams{Peer: b.id, Data: []byte(data)}) {
				t.Fatal("not queued")
			}
			want = append(want, data)
		}
		b.want(t, a.id, 0, want...)
	}
}

func TestMerge(t *testing.T) {
	make1 := func(segment, size int) *outgoing {
		o := &outgoing{buf: make([]byte, wire.Headroom+size)}
		o.head = Datagrams{Segment: segment, Data: o.buf[wire.Headroom:]}
		return o
	}
	for _, c := range []struct {
		name     string
		a, b     *outgoing
		together bool
	}{
		{"equal singles", make1(10, 10), make1(10, 10), true},
		{"shorter second", make1(10, 10), make1(4, 4), true},
		{"longer second", make1(10, 10), make1(11, 11), false},
		{"after a short last", make1(10, 14), make1(10, 10), false},
		{"equal batches", make1(10, 40), make1(10, 25), true},
		{"batch of smaller ones", make1(10, 10), make1(4, 8), false},
		{"too much", make1(1000, 40_000), make1(1000, 30_000), false},
	} {
		if got := c.a.merge(c.b); got != c.together {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	other := make1(10, 10)
	other.head.ECN = 1
	if make1(10, 10).merge(other) {
		t.Error("another ECN was merged")
	}
	other = make1(10, 10)
	other.head.Peer[0] = 1
	if make1(10, 10).merge(other) {
		t.Error("another peer was merged")
	}
}

func TestReconnectsAfterARestart(t *testing.T) {
	dir := t.TempDir()
	first := peertest.Relay(t, peer.RelayConfig{Dir: dir})
	a, b := join(t, first.URL, nil).reachable(t), join(t, first.URL, nil).reachable(t)
	first.Kill()
	eventually(t, "both notice", func() bool { return !a.State().Connected && !b.State().Connected })
	if a.State().Err == nil {
		t.Error("no reason is given")
	}
	if !a.Send(Datagrams{Peer: b.id, Data: []byte("while away")}) {
		t.Error("the queue is full at once")
	}
	peertest.Relay(t, peer.RelayConfig{Dir: dir, Port: first.Port})
	a.reachable(t)
	b.reachable(t)
	eventually(t, "datagrams arrive again", func() bool {
		a.Send(Datagrams{Peer: b.id, Data: []byte("back")})
		select {
		case g := <-b.inbox:
			return g.data == "back" || g.data == "while away"
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
}

func TestNewestOfOneKeyGetsThePackets(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{})
	k := secret(t)
	same := func(c *Config) { c.SecretKey = k }
	other := join(t, r.URL, nil).reachable(t)
	first := join(t, r.URL, nil, same).reachable(t)
	second := join(t, r.URL, nil, same).reachable(t)
	eventually(t, "the first is told", func() bool { return strings.Contains(first.State().Problem, "same key") })
	other.Send(Datagrams{Peer: k.ID(), Data: []byte("hi")})
	second.want(t, other.id, 0, "hi")
	second.Close()
	eventually(t, "the first is healthy again", func() bool { return first.State().Problem == "" })
	other.Send(Datagrams{Peer: k.ID(), Data: []byte("hi again")})
	first.want(t, other.id, 0, "hi again")
}

func TestDenied(t *testing.T) {
	k := secret(t)
	r := peertest.Relay(t, peer.RelayConfig{More: `access = { denylist = ["` + k.ID().String() + `"] }`})
	m := join(t, r.URL, nil, func(c *Config) { c.SecretKey = k })
	eventually(t, "access is denied", func() bool { return errors.Is(m.State().Err, ErrDenied) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Ready(ctx); !errors.Is(err, ErrDenied) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ready: %v", err)
	}
	join(t, r.URL, nil).ready(t) // others may
}

func TestToken(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{More: `access = { shared_token = ["sesame"] }`})
	join(t, r.URL, nil, func(c *Config) { c.Token = "sesame" }).ready(t)
	m := join(t, r.URL, nil, func(c *Config) { c.Token = "mustard" })
	eventually(t, "the wrong token is refused", func() bool { return m.State().Err != nil })
	if m.State().Connected || strings.Contains(m.State().Err.Error(), "mustard") {
		t.Errorf("state %+v", m.State())
	}
}

// Over TLS the keying material is proof enough; over plain HTTP there is none.
func TestKeyingMaterialSavesTheChallenge(t *testing.T) {
	relays(t, func(t *testing.T, r *peer.RelayServer) {
		c, err := New(Config{URL: mustURL(t, r.URL), SecretKey: secret(t), Roots: r.Roots, Receive: func(r *Received) { r.Release() }})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.connect(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		defer s.ws.Close()
		if s.challenged != (r.Roots == nil) {
			t.Errorf("challenged: %v", s.challenged)
		}
		if p := s.ws.Subprotocol(); p != protocolV2 {
			t.Errorf("protocol %s", p)
		}
	})
}

func TestUntrustedCertificate(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{TLS: true})
	m := join(t, r.URL, nil) // the system does not know it
	eventually(t, "the certificate is refused", func() bool {
		err := m.State().Err
		return err != nil && strings.Contains(err.Error(), "certificate")
	})
}

func TestCloseSendsWhatIsQueued(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{})
	var a *member
	took := 2 * closeGrace
	for tries := 0; took > closeGrace && tries < 10; tries++ { // a machine that has other things to do may need longer now and then
		a = join(t, r.URL, nil).reachable(t)
		b := join(t, r.URL, nil).reachable(t)
		var want []string
		for range 100 {
			want = append(want, strings.Repeat("z", 900))
			a.Send(Datagrams{Peer: b.id, Data: []byte(want[0])})
		}
		began := time.Now()
		a.Close()
		if took = time.Since(began); took <= closeGrace {
			b.want(t, a.id, 0, want...)
		}
	}
	if took > closeGrace {
		t.Errorf("closing took %v", took)
	}
	if err := a.Ready(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("ready: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := peertest.Relay(t, peer.RelayConfig{})
	c, err := New(Config{URL: mustURL(t, r.URL), SecretKey: secret(t), Receive: func(r *Received) { r.Release() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err == nil {
		t.Error("it ran twice at a time")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if c.State().Connected {
		t.Error("it is still connected")
	}
}

func TestProbe(t *testing.T) {
	plain, secure := peertest.Relay(t, peer.RelayConfig{}), peertest.Relay(t, peer.RelayConfig{TLS: true})
	m, err := ParseMap(plain.URL, secure.URL, "http://127.0.0.1:9/")
	if err != nil {
		t.Fatal(err)
	}
	found := Probe(t.Context(), m, ProbeConfig{Roots: secure.Roots})
	for i, l := range found {
		if l.URL != m[i].URL || (l.Err == nil) != (i < 2) || (l.Value > 0) != (i < 2) {
			t.Errorf("%s: %v, %v", l.URL, l.Value, l.Err)
		}
		if l.Err == nil && (time.Since(l.At) > time.Minute || l.At.Sub(l.Date).Abs() > 3*time.Second) {
			t.Errorf("%s: its clock says %s at %s", l.URL, l.Date, l.At)
		}
	}
	if u := Nearest(found, URL{}); u != m[0].URL && u != m[1].URL {
		t.Errorf("nearest is %s", u)
	}
}
