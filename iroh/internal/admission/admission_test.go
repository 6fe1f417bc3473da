package admission

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

// visit is an attempt of somebody who proved nothing, comeBack of somebody who passed a Retry.
func visit(a *Admission, addr string) (visitor, error) { return admit(a, addr, false) }

func comeBack(a *Admission, addr string) (visitor, error) { return admit(a, addr, true) }

func admit(a *Admission, addr string, verified bool) (visitor, error) {
	ctx, cancel := context.WithCancel(context.Background())
	ctx, err := a.Admit(ctx, &quic.ClientInfo{RemoteAddr: udp(addr), AddrVerified: verified})
	if err != nil {
		cancel()
	}
	return visitor{ctx, cancel}, err
}

func (v visitor) established() { Established(v.ctx) }

func udp(addr string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

// host is the address of the i-th of many hosts.
func host(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255) }

// Handshakes from addresses that may be forged are few; those who have proven theirs come in besides, as far as there is room.
func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	a := New()
	var in []visitor
	for i := range RetryHalfOpen {
		if a.NeedsRetry(udp(host(i))) {
			t.Fatalf("retry with %d handshakes under way", i)
		}
		v, err := visit(a, host(i))
		if err != nil {
			t.Fatalf("handshake %d: %v", i, err)
		}
		in = append(in, v)
	}
	if !a.NeedsRetry(udp(host(RetryHalfOpen))) {
		t.Fatal("no retry")
	}
	if _, err := visit(a, host(RetryHalfOpen)); !errors.Is(err, ErrRefused) {
		t.Fatalf("handshake %d: %v", RetryHalfOpen, err)
	}
	for i := RetryHalfOpen; i < MaxConns; i++ {
		v, err := comeBack(a, host(i))
		if err != nil {
			t.Fatalf("handshake %d: %v", i, err)
		}
		in = append(in, v)
	}
	if _, err := comeBack(a, host(MaxConns)); !errors.Is(err, ErrRefused) {
		t.Fatalf("handshake %d: %v", MaxConns, err)
	}
	for _, v := range in[RetryHalfOpen-1:] {
		v.established()
		v.established() // the second time counts for nothing
	}
	if a.total != (Count{All: MaxConns, HalfOpen: RetryHalfOpen - 1}) {
		t.Errorf("counted %v", a.total)
	}
	in[MaxConns-1].leave()
	a.waitFor(t, MaxConns-1)
	v, err := visit(a, host(MaxConns))
	if err != nil {
		t.Fatalf("after one left: %v", err)
	}
	for _, v := range append(in, v) {
		v.leave()
	}
	a.Wait()
	if a.total != (Count{}) || len(a.bySource) != 0 {
		t.Errorf("left behind: %v, %v", a.total, a.bySource)
	}
}

// waitFor waits until there are n connections.
func (a *Admission) waitFor(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); a.Counts().All != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("counted %v, want %d", a.Counts(), n)
		}
	}
}

func TestOneSourceCannotTakeAll(t *testing.T) {
	for _, c := range []struct{ name, one, same, other string }{
		{"IPv4", "10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", "10.0.0.1:2", "[::ffff:10.0.0.2]:1"},
		{"IPv6 network", "[2001:db8::1]:1", "[2001:db8::ffff:2]:1", "[2001:db8:0:1::1]:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New()
			var in []visitor
			for i := range MaxConnsPerSource {
				retry := i >= RetryHalfOpenPerSource
				if got := a.NeedsRetry(udp(c.same)); got != retry {
					t.Fatalf("retry with %d handshakes under way: %v", i, got)
				}
				if retry {
					if _, err := visit(a, c.same); !errors.Is(err, ErrRefused) {
						t.Fatalf("without proof, with %d handshakes under way: %v", i, err)
					}
				}
				v, err := admit(a, c.one, retry)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, v)
			}
			if _, err := comeBack(a, c.same); !errors.Is(err, ErrRefused) {
				t.Error("the source has more than its share")
			}
			for _, v := range in[RetryHalfOpenPerSource:] {
				v.established()
			}
			if a.NeedsRetry(udp(c.other)) {
				t.Error("another source suffers")
			}
			v, err := visit(a, c.other)
			if err != nil {
				t.Errorf("another source is refused: %v", err)
			}
			for _, v := range append(in, v) {
				v.leave()
			}
			a.Wait()
			if a.total != (Count{}) || len(a.bySource) != 0 {
				t.Errorf("left behind: %v, %v", a.total, a.bySource)
			}
		})
	}
}

func TestEstablishedConnectionsAreBounded(t *testing.T) {
	a := New()
	fill := func(addr func(int) string, n int) {
		t.Helper()
		for i := range n {
			v, err := visit(a, addr(i))
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			t.Cleanup(v.leave)
			v.established()
		}
	}
	one := func(int) string { return "192.0.2.1:1" }
	fill(one, MaxConnsPerSource)
	if _, err := visit(a, one(0)); !errors.Is(err, ErrRefused) {
		t.Error("one source took more than its share")
	}
	fill(host, MaxConns-MaxConnsPerSource)
	if _, err := visit(a, "192.0.2.2:1"); !errors.Is(err, ErrRefused) {
		t.Error("more connections than the limit")
	}
}

func TestGrowthBudget(t *testing.T) {
	g := NewGrowth(100)
	a, b := new(quic.Conn), new(quic.Conn)
	if g.Allow(a, 1) {
		t.Error("a connection that is not open grew")
	}
	g.Open(a)
	g.Open(b)
	for _, c := range []struct {
		conn  *quic.Conn
		delta uint64
		want  bool
	}{{a, 60, true}, {b, 41, false}, {b, 30, true}, {a, 11, false}, {a, 10, true}, {b, 1, false}} {
		if got := g.Allow(c.conn, c.delta); got != c.want {
			t.Fatalf("growth by %d: %v", c.delta, got)
		}
	}
	g.Close(a)
	if g.Allow(a, 1) || !g.Allow(b, 70) || g.Allow(b, 1) {
		t.Error("a closed connection did not give back just what it had")
	}
	g.Close(b)
	g.Close(b)
	if g.left != 100 || len(g.taken) != 0 {
		t.Errorf("left %d, taken %v", g.left, g.taken)
	}
}
