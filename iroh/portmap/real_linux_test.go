package portmap

import (
	"crypto/rand"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// quick makes the mapper go faster than it would at a user's.
func quick() pace {
	return pace{pause: 200 * time.Millisecond, maxPause: time.Second, watch: 300 * time.Millisecond, minRenew: time.Second, stable: time.Hour}
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// listen opens the socket that is to be reached, on the host.
func listen(t *testing.T) (*net.UDPConn, uint16) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// arrives reports whether what is sent from outside to an address comes in. It is sent again and again, since a router may show
// a mapping before all of its rules are there.
func arrives(t *testing.T, from, at *net.UDPConn, to netip.AddrPort, wait time.Duration) bool {
	t.Helper()
	text := rand.Text() // not what an earlier call has sent
	b := make([]byte, 100)
	for end := time.Now().Add(wait); time.Now().Before(end); {
		if _, err := from.WriteToUDPAddrPort([]byte(text), to); err != nil {
			t.Fatal(err)
		}
		if err := at.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for n, err := 0, error(nil); err == nil; {
			if n, _, err = at.ReadFromUDPAddrPort(b); err == nil && string(b[:n]) == text {
				return true
			}
		}
	}
	return false
}

func TestRealGateway(t *testing.T) {
	for _, protocol := range []Protocol{NATPMP, UPnP} {
		t.Run(string(protocol), func(t *testing.T) { wholeLife(t, protocol) })
	}
}

// wholeLife maps a port, has the router restarted, and removes the mapping.
func wholeLife(t *testing.T, protocol Protocol) {
	w := newTown(t, wanIP)
	if w == nil {
		return
	}
	w.start(protocol == UPnP, protocol == NATPMP)
	conn, port := listen(t)
	outside := w.socketOutside()
	m, err := start(Config{Port: port, Check: 2 * time.Second, Logger: logger(t)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	external := await(t, m, true)
	if external != netip.AddrPortFrom(netip.MustParseAddr(wanIP), port) {
		t.Errorf("the external address is %s", external)
	}
	s := m.Status()
	if s.Protocol != protocol || s.Gateway.String() != routerIP || s.External != external || s.Err != nil || time.Since(s.Renewed) > time.Minute {
		t.Errorf("status %+v", s)
	}
	if !w.mapped(port) || !arrives(t, outside, conn, external, 30*time.Second) {
		t.Fatalf("nothing comes in; the router says\n%s", w.log)
	}

	// Twice: unnoticed between two looks at the gateway, which has been up for a while, and with a time in which nobody answers.
	for _, away := range []time.Duration{0, 3 * time.Second} {
		time.Sleep(4 * time.Second)
		w.stop()
		time.Sleep(away)
		w.start(protocol == UPnP, protocol == NATPMP)
		for end := time.Now().Add(time.Minute); !w.mapped(port); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the mapping does not come back: %+v; the router says\n%s", m.Status(), w.log)
			}
		}
		if external := await(t, m, true); !arrives(t, outside, conn, external, 30*time.Second) {
			t.Error("nothing comes in after the restart")
		}
	}

	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if w.mapped(port) || m.External().IsValid() || m.Status().Protocol != "" {
		t.Errorf("after Close the mapping is there: %+v", m.Status())
	}
	if arrives(t, w.socketOutside(), conn, external, 300*time.Millisecond) {
		t.Error("after Close something comes in")
	}
}

// A mapping lives longer than its lease, and not much longer than a process that does not close it.
func TestRealLeaseIsRenewed(t *testing.T) {
	for _, protocol := range []Protocol{NATPMP, UPnP} {
		t.Run(string(protocol), func(t *testing.T) {
			w := newTown(t, wanIP)
			if w == nil {
				return
			}
			w.start(protocol == UPnP, protocol == NATPMP)
			_, port := listen(t)
			m, err := start(Config{Port: port, Lifetime: 6 * time.Second, Logger: logger(t)}, quick())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			await(t, m, true)
			first := m.Status().Renewed
			for time.Since(first) < 12*time.Second {
				time.Sleep(200 * time.Millisecond)
				if !w.mapped(port) {
					t.Fatalf("%s after the first lease the mapping is gone; the router says\n%s", time.Since(first), w.log)
				}
			}
			if renewed := m.Status().Renewed; renewed.Sub(first) < 6*time.Second {
				t.Errorf("renewed after %s only", renewed.Sub(first))
			}
			// What happens when the process is killed.
			m.cancel()
			m.wg.Wait()
			for end := time.Now().Add(time.Minute); w.mapped(port); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the lease does not end")
				}
			}
		})
	}
}

// Another machine of the network has the port: ours becomes another, and theirs stays.
func TestRealPortIsTaken(t *testing.T) {
	for _, protocol := range []Protocol{NATPMP, UPnP} {
		t.Run(string(protocol), func(t *testing.T) {
			w := newTown(t, wanIP)
			if w == nil {
				return
			}
			w.start(protocol == UPnP, protocol == NATPMP)
			w.ip(nil, "addr add 192.168.77.3/24 dev eth0")
			conn, port := listen(t)
			r := route{netip.MustParseAddr(routerIP), netip.MustParseAddr("192.168.77.3")}
			if protocol == UPnP {
				found, err := findUPnP(t.Context(), r, Config{Port: port, Description: "theirs"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := found.mapPort(t.Context(), port, time.Hour); err != nil {
					t.Fatal(err)
				}
			} else {
				w.ip(nil, "route replace 192.168.77.0/24 dev eth0 src 192.168.77.3")
				if _, err := newNATPMP(r, Config{Port: port}).mapPort(t.Context(), port, time.Hour); err != nil {
					t.Fatal(err)
				}
				w.ip(nil, "route replace 192.168.77.0/24 dev eth0 src "+hostIP)
			}
			m, err := start(Config{Port: port, Logger: logger(t)}, quick())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			external := await(t, m, true)
			if external.Port() == port {
				t.Error("the other machine's port was taken")
			}
			if !arrives(t, w.socketOutside(), conn, external, 30*time.Second) {
				t.Errorf("nothing comes in at %s; the router says\n%s", external, w.log)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if !w.mapped(port) || w.mapped(external.Port()) {
				t.Errorf("after Close theirs is there: %v; ours is there: %v", w.mapped(port), w.mapped(external.Port()))
			}
		})
	}
}

// A router behind another one, and one that speaks neither protocol: no address, and a reason.
func TestRealGatewayIsOfNoUse(t *testing.T) {
	for name, c := range map[string]struct {
		wan          string
		upnp, natpmp bool
		want         string
	}{
		"second NAT, NAT-PMP": {"10.1.2.3", false, true, "second NAT"},
		"second NAT, UPnP":    {"100.64.1.2", true, false, "public address"},
		"silent":              {wanIP, false, false, "does not"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, c.wan)
			if w == nil {
				return
			}
			if c.upnp || c.natpmp {
				w.start(c.upnp, c.natpmp)
			}
			_, port := listen(t)
			m, err := start(Config{Port: port, Logger: logger(t)}, quick())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			for end := time.Now().Add(time.Minute); m.Status().Err == nil; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("no error: %+v", m.Status())
				}
			}
			s := m.Status()
			t.Log(s.Err)
			if !strings.Contains(s.Err.Error(), c.want) || s.Gateway.String() != routerIP || m.External().IsValid() {
				t.Errorf("status %+v, external %s; the router says\n%s", s, m.External(), w.log)
			}
		})
	}
}

// The machine moves to another network: what was mapped at the old gateway is of no use at once.
func TestRealMove(t *testing.T) {
	w := newTown(t, wanIP)
	if w == nil {
		return
	}
	w.start(true, true)
	conn, port := listen(t)
	m, err := start(Config{Port: port, Logger: logger(t)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	await(t, m, true)
	w.ip(nil, "route del default")
	await(t, m, false)
	for m.Status().Err == nil || !strings.Contains(m.Status().Err.Error(), "default route") {
		time.Sleep(50 * time.Millisecond)
	}
	if s := m.Status(); s.Gateway.IsValid() {
		t.Errorf("status %+v", s)
	}
	// The address of another network, with the same router.
	w.ip(w.router, "addr add 192.168.78.254/24 dev eth0")
	w.ip(nil, "addr add 192.168.78.2/24 dev eth0", "route add default via "+routerIP)
	external := await(t, m, true)
	if !arrives(t, w.socketOutside(), conn, external, 30*time.Second) {
		t.Error("nothing comes in")
	}
}
