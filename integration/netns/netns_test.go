package netns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// leaveLab is set for a child process that makes a lab and dies.
const leaveLab = "NETNS_TEST_LEAVE_LAB"

func TestMain(m *testing.M) {
	if os.Getenv(leaveLab) != "" {
		leave()
	}
	goleak.VerifyTestMain(m)
}

func leave() {
	lab, err := netns.New(context.Background())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	h, err := lab.Host(context.Background(), "left")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(h.Namespace)
	os.Exit(0)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// plan is the addresses of a lab.
type plan struct{ outer, inner netip.Prefix }

var (
	v4 = plan{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("10.1.0.0/24")}
	v6 = plan{netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("fd00:1::/64")}

	none netip.Addr
)

// out and in are addresses of the two networks.
func (p plan) out(n byte) netip.Addr { return member(p.outer, n) }
func (p plan) in(n byte) netip.Addr  { return member(p.inner, n) }

func member(p netip.Prefix, n byte) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1] = n
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// families runs a test for both.
func families(t *testing.T, test func(t *testing.T, p plan)) {
	t.Run("IPv4", func(t *testing.T) { test(t, v4) })
	t.Run("IPv6", func(t *testing.T) { test(t, v6) })
}

// mirror answers every packet with the address that it came from.
func mirror(t *testing.T, h *netns.Host) netip.AddrPort {
	conn := must[*net.UDPConn](t)(h.ListenUDP(netip.AddrPortFrom(h.Addrs[0], 7)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort([]byte(from.String()), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Who is reached answers within long; who has not within brief is not.
const (
	long  = 10 * time.Second
	brief = 700 * time.Millisecond
)

// ask asks a mirror, again and again, how it sees a socket. The zero address is no answer.
func ask(t *testing.T, conn *net.UDPConn, mirror netip.AddrPort, patience time.Duration) netip.AddrPort {
	t.Helper()
	buf := make([]byte, 64)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := conn.WriteToUDPAddrPort([]byte("?"), mirror); err != nil {
			return netip.AddrPort{}
		}
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			if from == mirror { // and no late answer of another one
				return netip.MustParseAddrPort(string(buf[:n]))
			}
		}
	}
	return netip.AddrPort{}
}

// site is a host behind a router.
type site struct {
	lab          *netns.Lab
	net          *netns.Segment
	host, router *netns.Host
	outside      string
}

func newSite(t *testing.T, p plan, kind netns.NAT) site {
	t.Helper()
	ctx := t.Context()
	s := site{lab: peertest.Lab(t)}
	s.net = must[*netns.Segment](t)(s.lab.Segment(ctx, "net", p.outer))
	lan := must[*netns.Segment](t)(s.lab.Segment(ctx, "lan", p.inner))
	s.router = must[*netns.Host](t)(s.lab.Host(ctx, "router"))
	s.host = must[*netns.Host](t)(s.lab.Host(ctx, "host"))
	s.outside = must[string](t)(s.router.Join(ctx, s.net, p.out(10), s.net.Gateway()))
	must[string](t)(s.router.Join(ctx, lan, p.in(254), none))
	must[string](t)(s.host.Join(ctx, lan, p.in(2), p.in(254)))
	if err := s.router.Masquerade(ctx, s.outside, kind); err != nil {
		t.Fatal(err)
	}
	return s
}

// public adds a host beside the router.
func (s site) public(t *testing.T, name string, addr netip.Addr) *netns.Host {
	h := must[*netns.Host](t)(s.lab.Host(t.Context(), name))
	must[string](t)(h.Join(t.Context(), s.net, addr, s.net.Gateway()))
	return h
}

func TestRouterHidesWhatIsBehindIt(t *testing.T) {
	for _, kind := range []netns.NAT{netns.EndpointIndependent, netns.EndpointDependent} {
		t.Run(string(kind), func(t *testing.T) {
			families(t, func(t *testing.T, p plan) {
				s := newSite(t, p, kind)
				one, two := mirror(t, s.public(t, "one", p.out(2))), mirror(t, s.public(t, "two", p.out(3)))
				conn := must[*net.UDPConn](t)(s.host.ListenUDP(netip.AddrPortFrom(p.in(2), 4022)))
				defer conn.Close()
				seen := [2]netip.AddrPort{ask(t, conn, one, long), ask(t, conn, two, long)}
				for _, addr := range seen {
					if addr.Addr() != p.out(10) {
						t.Fatalf("seen as %v", seen)
					}
				}
				if same := seen[0].Port() == 4022 && seen[1].Port() == 4022; same != (kind == netns.EndpointIndependent) {
					t.Errorf("seen as %v", seen)
				}
			})
		})
	}
}

func TestNobodyGetsInUninvited(t *testing.T) {
	families(t, func(t *testing.T, p plan) {
		s := newSite(t, p, netns.EndpointIndependent)
		peer := s.public(t, "peer", p.out(2))
		inside := mirror(t, s.host)
		conn := must[*net.UDPConn](t)(peer.ListenUDP(netip.AddrPortFrom(p.out(2), 9)))
		defer conn.Close()
		forwarded := netip.AddrPortFrom(p.out(10), 7000)
		for _, addr := range []netip.AddrPort{inside, netip.AddrPortFrom(p.out(10), 7), forwarded} {
			if seen := ask(t, conn, addr, brief); seen.IsValid() {
				t.Errorf("%s was reached, as %s", addr, seen)
			}
		}
		if err := s.router.Forward(t.Context(), s.outside, forwarded.Port(), inside); err != nil {
			t.Fatal(err)
		}
		if seen := ask(t, conn, forwarded, long); seen != netip.AddrPortFrom(p.out(2), 9) {
			t.Errorf("through a forwarded port: seen as %v", seen)
		}
	})
}

// A socket goes on to work when the router's address changes, and is seen under the new one.
func TestRenumbering(t *testing.T) {
	s := newSite(t, v4, netns.EndpointIndependent)
	peer := mirror(t, s.public(t, "peer", v4.out(2)))
	conn := must[*net.UDPConn](t)(s.host.ListenUDP(netip.MustParseAddrPort("10.1.0.2:4022")))
	defer conn.Close()
	if seen := ask(t, conn, peer, long); seen != netip.MustParseAddrPort("203.0.113.10:4022") {
		t.Fatalf("seen as %v", seen)
	}
	from, to := netip.MustParsePrefix("203.0.113.10/24"), netip.MustParsePrefix("203.0.113.11/24")
	if err := s.router.Renumber(t.Context(), s.outside, from, to); err != nil {
		t.Fatal(err)
	}
	old, seen := netip.MustParseAddrPort("203.0.113.10:4022"), netip.AddrPort{}
	for end := time.Now().Add(long); time.Now().Before(end); {
		if seen = ask(t, conn, peer, long); seen != old {
			break
		}
	}
	if seen != netip.MustParseAddrPort("203.0.113.11:4022") {
		t.Errorf("seen as %v", seen)
	}
}

func TestLabHasNoWayOut(t *testing.T) {
	s := newSite(t, v4, netns.EndpointIndependent)
	outside := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer outside.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.host.DialContext(ctx, "tcp", "198.51.100.1:80"); err == nil {
		t.Error("an address that nobody has was reached")
	}
	conn := must[*net.UDPConn](t)(s.host.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0")))
	defer conn.Close()
	conn.WriteToUDPAddrPort([]byte("?"), outside.LocalAddr().(*net.UDPAddr).AddrPort())
	outside.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, from, err := outside.ReadFromUDPAddrPort(make([]byte, 1)); err == nil {
		t.Errorf("a packet of a lab's loopback came out, from %s", from)
	}
}

func TestLabLeavesNothing(t *testing.T) {
	lab := peertest.Lab(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), leaveLab+"=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left := filepath.Join("/run/netns", strings.TrimSpace(string(out)))
	if _, err := os.Stat(left); err != nil {
		t.Fatal("a process that ended without a word left nothing:", err)
	}
	h := must[*netns.Host](t)(lab.Host(t.Context(), "living"))
	other, err := netns.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", left, err)
	}
	if err := netns.Do(h.Namespace, func() error { return nil }); err != nil {
		t.Errorf("a lab in use was swept: %v", err)
	}
	made := must[*netns.Host](t)(other.Host(t.Context(), "living"))
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := netns.Do(made.Namespace, func() error { return nil }); err == nil {
		t.Error("a closed lab's host is still there")
	}
}
