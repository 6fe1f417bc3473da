package iroh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// silent is the address of a UDP socket that never answers.
func silent(t testing.TB, ip string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return addrPort(c.LocalAddr())
}

func TestDialPassesDeadAddresses(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	stranger := endpoint(t, "127.0.0.1")
	addr := at(server, silent(t, "127.0.0.1"), silent(t, "127.0.0.1"), stranger.socket.local, server.socket.local)
	start := time.Now()
	c, err := client.Dial(deadline(t), addr, testALPN)
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr() != server.socket.local {
		t.Errorf("connected to %s", c.RemoteAddr())
	}
	if took := time.Since(start); took < 2*dialStagger || took > client.cfg.HandshakeTimeout/2 {
		t.Errorf("took %v", took)
	}
}

// Both addresses lead to the server, so that two handshakes may complete; in the end there is one connection.
func TestLosersAreClosed(t *testing.T) {
	server, client := endpoint(t, "::"), endpoint(t, "::")
	go func() {
		for {
			if _, err := server.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	r := newRace(client, server.ID(), testALPN)
	r.add(at(server, loopback(server, "127.0.0.1"), loopback(server, "::1")))
	if !client.begin() {
		t.Fatal("closed")
	}
	ctx, cancel := context.WithCancel(deadline(t))
	r.start(ctx, &r.pending) // both at once
	r.start(ctx, &r.pending)
	eventually(t, "both handshakes complete", func() bool { return server.connCount() == 2 && len(r.results) == 2 })
	winner := <-r.results
	r.running--
	if winner.err != nil {
		t.Fatal(winner.err)
	}
	r.finish(cancel, loserGrace)
	eventually(t, "the loser is closed", func() bool { return server.connCount() == 1 })
	if winner.conn.Context().Err() != nil {
		t.Error("the winner was closed")
	}
	winner.conn.CloseWithError(0, "")
}

func TestDialBothFamilies(t *testing.T) {
	server, client := endpoint(t, "::"), endpoint(t, "::")
	for _, ip := range []string{"127.0.0.1", "::1"} {
		want := loopback(server, ip)
		c, err := client.Dial(deadline(t), at(server, want), testALPN)
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr() != want {
			t.Errorf("dialed %s, connected to %s", want, c.RemoteAddr())
		}
		s, err := server.Accept(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		go echo(deadline(t), s)
		roundTrip(t, c, make([]byte, 1<<20))
	}
}

func TestUndialableAddresses(t *testing.T) {
	client, server := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	other := testKey(t).ID()
	relay := []string{"https://relay.example./"}
	ports := func(s ...string) (out []netip.AddrPort) {
		for _, a := range s {
			out = append(out, netip.MustParseAddrPort(a))
		}
		return out
	}
	for _, c := range []struct {
		name string
		addr ticket.EndpointAddr
		alpn string
		is   error
		want string
	}{
		{"nothing", ticket.EndpointAddr{ID: other}, testALPN, ErrNoAddress, "ticket with direct addresses"},
		{"relay only", ticket.EndpointAddr{ID: other, Relays: relay}, testALPN, ErrRelayOnly, "relays are named, and this endpoint uses none"},
		{"relay and useless addresses", ticket.EndpointAddr{ID: other, Relays: relay, Direct: ports("0.0.0.0:1", "127.0.0.1:0", "224.0.0.1:5", "255.255.255.255:5")}, testALPN, ErrRelayOnly, "relays"},
		{"other family", ticket.EndpointAddr{ID: other, Direct: ports("[::1]:5")}, testALPN, ErrNoAddress, "listen on [::]"},
		{"no id", ticket.EndpointAddr{Direct: ports("127.0.0.1:5")}, testALPN, nil, "no endpoint id"},
		{"own id", client.Addr(), testALPN, nil, "own"},
		{"no protocol", server.Addr(), "", nil, "1 to 255 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := client.Dial(deadline(t), c.addr, c.alpn)
			if conn != nil || err == nil {
				t.Fatal("dialed")
			}
			if c.is != nil {
				wantErr(t, err, c.is)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	client := endpoint(t, "127.0.0.1", func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond })
	dead := []netip.AddrPort{silent(t, "127.0.0.1"), silent(t, "127.0.0.1")}
	start := time.Now()
	_, err := client.Dial(deadline(t), ticket.EndpointAddr{ID: testKey(t).ID(), Direct: dead}, testALPN)
	wantErr(t, err, ErrNoAnswer)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	var d *DialError
	if !errors.As(err, &d) || len(d.Attempts) != 2 || d.Attempts[0].Addr != dead[0] || d.Attempts[1].Addr != dead[1] {
		t.Errorf("attempts of %v", err)
	}
	if !strings.Contains(err.Error(), "check that the peer is running") {
		t.Errorf("unhelpful error: %v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	client := endpoint(t, "127.0.0.1")
	addr := ticket.EndpointAddr{ID: testKey(t).ID(), Direct: []netip.AddrPort{silent(t, "127.0.0.1")}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := client.Dial(ctx, addr, testALPN)
	wantErr(t, err, context.DeadlineExceeded)
	if !strings.Contains(err.Error(), addr.Direct[0].String()) {
		t.Errorf("%q does not name the address", err)
	}

	ctx, stop := context.WithCancelCause(context.Background())
	because := errors.New("because")
	stop(because)
	_, err = client.Dial(ctx, addr, testALPN)
	wantErr(t, err, because)
}

func TestCloseEndsDials(t *testing.T) {
	client := endpoint(t, "127.0.0.1")
	addr := ticket.EndpointAddr{ID: testKey(t).ID(), Direct: []netip.AddrPort{silent(t, "127.0.0.1")}}
	failed := make(chan error, 1)
	go func() {
		_, err := client.Dial(context.Background(), addr, testALPN)
		failed <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-failed, ErrClosed)
}

// A Dial that has just succeeded leaves losers that run on for a moment; Close does not wait for that.
func TestCloseDoesNotWaitForLosers(t *testing.T) {
	quickOnce(t, loserGrace, func() (begun time.Time) {
		server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
		if _, err := client.Dial(deadline(t), at(server, silent(t, "127.0.0.1"), server.socket.local), testALPN); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		return begun
	})
}

func TestTargets(t *testing.T) {
	parse := func(list string) (out []netip.AddrPort) {
		for _, s := range strings.Fields(list) {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	for _, c := range []struct {
		name   string
		v4, v6 bool
		in     string
		want   string
	}{
		{"in turns", true, true, "1.0.0.1:1 1.0.0.2:1 1.0.0.3:1 [1::1]:1 [1::2]:1", "[1::1]:1 1.0.0.1:1 [1::2]:1 1.0.0.2:1 1.0.0.3:1"},
		{"IPv4 socket", true, false, "[1::1]:1 1.0.0.1:1", "1.0.0.1:1"},
		{"IPv6 socket", false, true, "[1::1]:1 1.0.0.1:1", "[1::1]:1"},
		{"duplicates", true, true, "1.0.0.1:1 1.0.0.1:1 [::ffff:1.0.0.1]:1 1.0.0.1:2", "1.0.0.1:1 1.0.0.1:2"},
		{"useless", true, true, "0.0.0.0:1 [::]:1 1.0.0.1:0 224.0.0.1:1 [ff02::1]:1 255.255.255.255:1 1.0.0.1:1", "1.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &Endpoint{socket: &socket{v4: c.v4, v6: c.v6}}
			got, _, err := e.targets(ticket.EndpointAddr{Direct: parse(c.in)})
			if err != nil || !slices.Equal(got, parse(c.want)) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	var many ticket.EndpointAddr
	for i := range 1000 {
		many.Direct = append(many.Direct, netip.AddrPortFrom(netip.MustParseAddr("1.0.0.1"), uint16(i+1)))
	}
	e := &Endpoint{socket: &socket{v4: true, v6: true}}
	if got, _, _ := e.targets(many); len(got) != maxDialAddrs || !slices.Equal(got, many.Direct[:maxDialAddrs]) {
		t.Errorf("%d of 1000 addresses are dialed", len(got))
	}
}
