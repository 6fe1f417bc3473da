package portmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// newBoth is a gateway that speaks both protocols and has a table for each.
func newBoth(t *testing.T) (*fakePMP, *fakeIGD) {
	igd := newIGD(t)
	return newPMPAt(t, igd.ip), igd
}

// refuseMaps is how a NAT-PMP gateway refuses mappings, and still removes them.
func refuseMaps(request, answer []byte) []byte {
	if binary.BigEndian.Uint32(request[8:]) > 0 {
		binary.BigEndian.PutUint16(answer[2:], 2)
	}
	return answer
}

// refuse is how a UPnP gateway refuses an action.
func refuse(actions ...string) func(string, map[string]string) int {
	return func(action string, _ map[string]string) int {
		if slices.Contains(actions, action) {
			return 501
		}
		return 0
	}
}

// awaitProtocol waits until the mapping is one of a protocol.
func awaitProtocol(t *testing.T, m *Mapper, want Protocol) {
	t.Helper()
	for end := time.Now().Add(time.Minute); m.Status().Protocol != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not mapped by %s: %+v", want, m.Status())
		}
	}
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: " + what)
		}
	}
}

// removed reports whether the gateway was asked to remove a mapping.
func (g *fakePMP) removed() bool {
	return slices.ContainsFunc(g.mappings(), func(b []byte) bool { return binary.BigEndian.Uint32(b[8:]) == 0 })
}

func TestNATPMPBecomesUPnP(t *testing.T) {
	t.Parallel()
	pmp, igd := newBoth(t)
	igd.with(func() {
		igd.fault = func(action string, args map[string]string) int {
			if action == "AddPortMapping" && args["NewExternalPort"] == "4022" {
				return conflict // it is that of NAT-PMP
			}
			return 0
		}
	})
	m := igd.mapper(t, Config{Lifetime: 4 * time.Second})
	awaitProtocol(t, m, NATPMP)
	pmp.with(func() { pmp.change = refuseMaps })
	awaitProtocol(t, m, UPnP)
	eventually(t, "the mapping by NAT-PMP is removed", pmp.removed)
	if a := await(t, m, true); a.Port() == 4022 {
		t.Error(a)
	}
}

func TestUPnPBecomesNATPMP(t *testing.T) {
	t.Parallel()
	pmp, igd := newBoth(t)
	pmp.with(func() { pmp.change = refuseMaps })
	m := igd.mapper(t, Config{Lifetime: 4 * time.Second})
	awaitProtocol(t, m, UPnP)
	igd.with(func() { igd.fault = refuse("AddPortMapping") })
	pmp.with(func() {
		pmp.change = func(_, answer []byte) []byte { binary.BigEndian.PutUint16(answer[10:], 5000); return answer }
	})
	awaitProtocol(t, m, NATPMP)
	eventually(t, "the mapping by UPnP is removed", func() (gone bool) {
		igd.with(func() { gone = len(igd.entries) == 0 })
		return gone
	})
}

// A stub is a gateway with a mapping.
type stub struct {
	gateway // what is not said here is not called
	port    uint16
	checked error
	refuses bool
	asked   int
}

func (s *stub) mapped() uint16                            { return s.port }
func (s *stub) check(context.Context) (netip.Addr, error) { return netip.Addr{}, s.checked }

func (s *stub) unmap(context.Context) error {
	if s.asked++; s.refuses {
		return errors.New("no")
	}
	s.port = 0
	return nil
}

func TestWhatIsLeftIsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		old       stub
		now       stub
		asked     int  // how often to remove the old one
		remembers bool // it is tried again
	}{
		"another port":                 {stub{port: 4022}, stub{port: 5000}, 1, false},
		"the same mapping":             {stub{port: 5000}, stub{port: 5000}, 0, false},
		"nothing":                      {stub{}, stub{port: 5000}, 0, false},
		"the gateway does not":         {stub{port: 4022, refuses: true}, stub{port: 5000}, 1, true},
		"it takes the new one as well": {stub{port: 4022}, stub{port: 5000, checked: errLost}, 1, false},
		"it cannot be looked at":       {stub{port: 4022}, stub{port: 5000, checked: errors.New("no answer")}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Mapper{cfg: Config{Logger: logger(t)}, held: &holding{gateway: &c.now}, want: c.now.port, left: map[Protocol]gateway{UPnP: &c.old}}
			if err := m.tidy(t.Context()); errors.Is(err, errLost) != errors.Is(c.now.checked, errLost) || err != nil && !errors.Is(err, errLost) {
				t.Error(err)
			}
			if c.old.asked != c.asked || len(m.left) > 0 != c.remembers || c.now.asked > 0 {
				t.Errorf("asked %d times, left %v", c.old.asked, m.left)
			}
		})
	}
}

// A mapping without an end that could not be renewed is told to nobody, and is removed by Close.
func TestPermanentMappingIsNotForgotten(t *testing.T) {
	t.Parallel()
	g := newIGD(t)
	permanent := func(action string, args map[string]string) int {
		if action == "AddPortMapping" && args["NewLeaseDuration"] != "0" {
			return permanentOnly
		}
		return 0
	}
	g.with(func() { g.fault = permanent })
	m := g.mapper(t, Config{Lifetime: 2 * time.Second})
	await(t, m, true)
	g.with(func() { g.fault = refuse("AddPortMapping", "GetExternalIPAddress") })
	await(t, m, false)
	eventually(t, "it has tried again", func() (tried bool) {
		n := 0
		g.with(func() { n = g.asked["GetExternalIPAddress"] })
		return n > 4
	})
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	g.with(func() {
		if len(g.entries) != 0 {
			t.Errorf("left behind: %v", maps.Clone(g.entries))
		}
	})
}

// When its lease is over an address is told to nobody, whatever the mapper is waiting for.
func TestNothingIsAnnouncedPastItsLease(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	slow := quick()
	slow.pause, slow.watch = time.Hour, time.Hour
	m, err := start(Config{Port: 4022, Gateway: g.ip, Lifetime: 4 * time.Second, Check: 100 * time.Millisecond, Logger: logger(t)}, slow)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	await(t, m, true)
	g.with(func() { g.silent = true })
	await(t, m, false)
	if s := m.Status(); s.Protocol != "" || s.External.IsValid() || s.Err == nil {
		t.Errorf("status %+v", s)
	}
	// The old lease does not come back by itself, and a new one does.
	g.with(func() { g.silent = false })
	m.show(netip.MustParseAddrPort("8.8.4.4:4022"))
	if a := m.External(); a.IsValid() {
		t.Error(a)
	}
}

// Both protocols of a real router, which has one table for them, in turns: the port stays open, and Close leaves nothing.
func TestRealProtocolChanges(t *testing.T) {
	w := newTown(t, wanIP)
	if w == nil {
		return
	}
	block := func(rule string) {
		must(t, w.router.Nft(t.Context(), fmt.Sprintf(`
table inet blocked
delete table inet blocked
table inet blocked {
	chain input { type filter hook input priority -10; iifname "eth0" %s; }
}`, rule)))
	}
	w.start(true, true)
	conn, port := listen(t)
	outside := w.socketOutside()
	m, err := start(Config{Port: port, Lifetime: 8 * time.Second, Logger: logger(t)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	awaitProtocol(t, m, NATPMP)
	for _, change := range []struct {
		rule string
		want Protocol
	}{{"udp dport 5351 reject", UPnP}, {"tcp dport 5000 reject", NATPMP}} {
		block(change.rule)
		awaitProtocol(t, m, change.want)
		if external := await(t, m, true); !arrives(t, outside, conn, external, 30*time.Second) {
			t.Errorf("nothing comes in by %s; the router says\n%s", change.want, w.log)
		}
	}
	block("accept")
	external := m.External()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if rules := w.in(w.router, "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd"); strings.Contains(rules, "dport") {
		t.Errorf("after Close of %s there is\n%s", external, rules)
	}
}
