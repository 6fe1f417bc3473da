package iroh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// A visitor is a connection attempt in a test of the admission.
type visitor struct {
	ctx   context.Context
	leave context.CancelFunc
}

func visit(a *admission, addr string) (visitor, error) {
	ctx, cancel := context.WithCancel(context.Background())
	ctx, err := a.admit(ctx, &quic.ClientInfo{RemoteAddr: udp(addr)})
	if err != nil {
		cancel()
	}
	return visitor{ctx, cancel}, err
}

func (v visitor) slot() *slot { return v.ctx.Value(slotKey{}).(*slot) }

func udp(addr string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

// host is the address of the i-th of many hosts.
func host(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255) }

func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	a := newAdmission()
	var in []visitor
	for i := range maxHalfOpen {
		if got := a.needsRetry(udp(host(i))); got != (i >= retryHalfOpen) {
			t.Fatalf("retry with %d handshakes under way: %v", i, got)
		}
		v, err := visit(a, host(i))
		if err != nil {
			t.Fatalf("handshake %d: %v", i, err)
		}
		in = append(in, v)
	}
	if _, err := visit(a, host(maxHalfOpen)); !errors.Is(err, errRefused) {
		t.Fatalf("handshake %d: %v", maxHalfOpen, err)
	}
	in[0].slot().established()
	in[0].slot().established() // the second time counts for nothing
	v, err := visit(a, host(maxHalfOpen))
	if err != nil {
		t.Fatalf("after one completed: %v", err)
	}
	if _, err := visit(a, host(maxHalfOpen+1)); !errors.Is(err, errRefused) {
		t.Fatal("one completed, two came in")
	}
	for _, v := range append(in, v) {
		v.leave()
	}
	a.wait()
	if a.total != (count{}) || len(a.bySource) != 0 {
		t.Errorf("left behind: %v, %v", a.total, a.bySource)
	}
}

func TestOneSourceCannotTakeAll(t *testing.T) {
	for _, c := range []struct{ name, one, same, other string }{
		{"IPv4", "10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", "10.0.0.1:2", "[::ffff:10.0.0.2]:1"},
		{"IPv6 network", "[2001:db8::1]:1", "[2001:db8::ffff:2]:1", "[2001:db8:0:1::1]:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAdmission()
			var in []visitor
			for i := range maxHalfOpenPerSource {
				if got := a.needsRetry(udp(c.same)); got != (i >= retryHalfOpenPerSource) {
					t.Fatalf("retry with %d handshakes under way: %v", i, got)
				}
				v, err := visit(a, c.one)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, v)
			}
			if _, err := visit(a, c.same); !errors.Is(err, errRefused) {
				t.Error("the source has more than its share")
			}
			if a.needsRetry(udp(c.other)) {
				t.Error("another source suffers")
			}
			v, err := visit(a, c.other)
			if err != nil {
				t.Errorf("another source is refused: %v", err)
			}
			for _, v := range append(in, v) {
				v.leave()
			}
			a.wait()
			if a.total != (count{}) || len(a.bySource) != 0 {
				t.Errorf("left behind: %v, %v", a.total, a.bySource)
			}
		})
	}
}

func TestEstablishedConnectionsAreBounded(t *testing.T) {
	a := newAdmission()
	fill := func(addr func(int) string, n int) {
		t.Helper()
		for i := range n {
			v, err := visit(a, addr(i))
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			t.Cleanup(v.leave)
			v.slot().established()
		}
	}
	one := func(int) string { return "192.0.2.1:1" }
	fill(one, maxConnsPerSource)
	if _, err := visit(a, one(0)); !errors.Is(err, errRefused) {
		t.Error("one source took more than its share")
	}
	fill(host, maxConns-maxConnsPerSource)
	if _, err := visit(a, "192.0.2.2:1"); !errors.Is(err, errRefused) {
		t.Error("more connections than the limit")
	}
}

// Handshakes that somebody begins and never finishes do not keep others out: a Retry is asked for, and passed.
func TestRetryUnderLoad(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	var in []visitor
	for i := range retryHalfOpen {
		v, err := visit(server.admission, host(i))
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, v)
	}
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	roundTrip(t, dialed, []byte("hello"))
	for i := retryHalfOpen; i < maxHalfOpen; i++ {
		v, err := visit(server.admission, host(i))
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, v)
	}
	refused, err := client.Dial(deadline(t), server.Addr(), testALPN)
	if err == nil {
		t.Errorf("%v came in beyond the limit", refused)
	}
	roundTrip(t, dialed, []byte("not affected"))
	for _, v := range in {
		v.leave()
	}
	eventually(t, "slots are given back", func() bool { return !server.admission.needsRetry(udp(host(0))) })
	pair(t, client, server)
}

func TestSlotsFollowConnections(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	total := func() count {
		server.admission.mu.Lock()
		defer server.admission.mu.Unlock()
		return server.admission.total
	}
	dialed, _ := pair(t, client, server)
	if got := total(); got != (count{all: 1}) {
		t.Errorf("one connection, counted %v", got)
	}
	addr := server.Addr()
	addr.ID = testKey(t).ID()
	if _, err := client.Dial(deadline(t), addr, testALPN); err == nil {
		t.Fatal("wrong id accepted")
	}
	eventually(t, "a failed handshake gives its slot back", func() bool { return total() == count{all: 1} })
	dialed.CloseWithError(0, "")
	eventually(t, "a closed connection gives its slot back", func() bool { return total() == count{} })
}

func TestSilentClientIsDropped(t *testing.T) {
	server := endpoint(t, "127.0.0.1", func(c *Config) { c.HandshakeTimeout = 300 * time.Millisecond })
	client := endpoint(t, "127.0.0.1")
	// A client that receives nothing gets no further than its first Initial.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	deaf := &quic.Transport{Conn: deafConn{sock}}
	defer deaf.Close()
	if _, err := deaf.Dial(ctx, net.UDPAddrFromAddrPort(server.socket.local), client.clientTLS(server.ID(), testALPN), client.dialConf); err == nil {
		t.Fatal("connected")
	}
	halfOpen := func() int {
		server.admission.mu.Lock()
		defer server.admission.mu.Unlock()
		return server.admission.total.halfOpen
	}
	if halfOpen() != 1 {
		t.Fatalf("%d handshakes under way", halfOpen())
	}
	start := time.Now()
	eventually(t, "the handshake ends", func() bool { return halfOpen() == 0 })
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// deafConn drops whatever arrives.
type deafConn struct{ net.PacketConn }

func (c deafConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if n, addr, err := c.PacketConn.ReadFrom(p); err != nil {
			return n, addr, err
		}
	}
}

func TestGrowthBudget(t *testing.T) {
	g := newGrowth(100)
	a, b := new(quic.Conn), new(quic.Conn)
	if g.allow(a, 1) {
		t.Error("a connection that is not open grew")
	}
	g.open(a)
	g.open(b)
	for _, c := range []struct {
		conn  *quic.Conn
		delta uint64
		want  bool
	}{{a, 60, true}, {b, 41, false}, {b, 30, true}, {a, 11, false}, {a, 10, true}, {b, 1, false}} {
		if got := g.allow(c.conn, c.delta); got != c.want {
			t.Fatalf("growth by %d: %v", c.delta, got)
		}
	}
	g.close(a)
	if g.allow(a, 1) || !g.allow(b, 70) || g.allow(b, 1) {
		t.Error("a closed connection did not give back just what it had")
	}
	g.close(b)
	g.close(b)
	if g.left != 100 || len(g.taken) != 0 {
		t.Errorf("left %d, taken %v", g.left, g.taken)
	}
}
