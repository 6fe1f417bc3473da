package portmap

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakePMP is a NAT-PMP gateway that answers as the test wants.
type fakePMP struct {
	ip netip.Addr

	mu       sync.Mutex
	external netip.Addr
	epoch    uint32
	result   uint16
	lifetime uint32                              // granted at most; 0 is what was asked for
	silent   bool                                // it does not answer
	change   func(request, answer []byte) []byte // of answers to a mapping
	requests [][]byte
}

func newPMP(t *testing.T) *fakePMP {
	g := newPMPAt(t, somewhereElse())
	serveSSDP(t, g.ip, "http://192.0.2.1/") // no UPnP, at once
	return g
}

func newPMPAt(t *testing.T, ip netip.Addr) *fakePMP {
	g := &fakePMP{ip: ip, external: netip.MustParseAddr("8.8.4.4"), epoch: 1000}
	serveUDP(t, netip.AddrPortFrom(g.ip, 5351), func(_ netip.AddrPort, b []byte) [][]byte {
		if a := g.answer(b); a != nil {
			return [][]byte{a}
		}
		return nil
	})
	return g
}

func (g *fakePMP) with(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *fakePMP) answer(b []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, append([]byte(nil), b...))
	if g.silent {
		return nil
	}
	out := []byte{0, b[1] | 0x80}
	out = binary.BigEndian.AppendUint16(out, g.result)
	out = binary.BigEndian.AppendUint32(out, g.epoch)
	if b[1] == 0 {
		return append(out, g.external.AsSlice()...)
	}
	out = append(out, b[4:12]...)
	if g.lifetime > 0 && binary.BigEndian.Uint32(b[8:]) > 0 {
		binary.BigEndian.PutUint32(out[12:], g.lifetime)
	}
	if g.change != nil {
		out = g.change(b, out)
	}
	return out
}

// mappings are the requests to map, or to remove.
func (g *fakePMP) mappings() (out [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.requests {
		if b[1] == 1 {
			out = append(out, b)
		}
	}
	return out
}

func TestNATPMPBytes(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	m := mapperAt(t, g.ip, Config{Lifetime: 7200 * time.Second})
	if a := await(t, m, true); a.String() != "8.8.4.4:4022" {
		t.Error(a)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"\x00\x01\x00\x00\x0f\xb6\x0f\xb6\x00\x00\x1c\x20", "\x00\x01\x00\x00\x0f\xb6\x00\x00\x00\x00\x00\x00"}
	got := g.mappings()
	if len(got) != 2 || string(got[0]) != want[0] || string(got[1]) != want[1] {
		t.Errorf("%x", got)
	}
}

func TestNATPMPRestartIsSeen(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	m := mapperAt(t, g.ip, Config{Check: 50 * time.Millisecond})
	await(t, m, true)
	time.Sleep(200 * time.Millisecond)
	if n := len(g.mappings()); n != 1 {
		t.Errorf("%d requests to map without a restart", n)
	}
	changed := m.Changed()
	g.with(func() { g.epoch = 3 })
	<-changed
	await(t, m, true)
	if n := len(g.mappings()); n != 2 {
		t.Errorf("%d requests to map after a restart", n)
	}
}

func TestRestarted(t *testing.T) {
	for _, c := range []struct {
		before, after uint32
		elapsed       time.Duration
		want          bool
	}{
		{100, 160, time.Minute, false},
		{100, 152, time.Minute, false}, // an eighth slow
		{100, 149, time.Minute, true},
		{100, 0, time.Second, true},
		{1, 0, time.Second, false}, // two seconds are allowed for
		{0, 0, 0, false},
		{100, 4_000_000_000, time.Second, false},
		{4_294_967_295, 10, time.Minute, true}, // it wraps after 136 years; mapping once more does no harm
	} {
		if got := restarted(c.before, c.after, c.elapsed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestNATPMPRefusals(t *testing.T) {
	for result, want := range map[uint16]string{1: "version", 2: "not allowed", 3: "no external address", 4: "no room", 99: "code 99"} {
		t.Run(strconv.Itoa(int(result)), func(t *testing.T) {
			t.Parallel()
			g := newPMP(t)
			g.with(func() { g.result = result })
			if text := trouble(t, mapperAt(t, g.ip, Config{})); !strings.Contains(text, want) {
				t.Error(text)
			}
		})
	}
}

func TestNATPMPHostileAnswers(t *testing.T) {
	cut := func(n int) func(_, b []byte) []byte { return func(_, b []byte) []byte { return b[:n] } }
	set := func(i int, v byte) func(_, b []byte) []byte {
		return func(_, b []byte) []byte { b[i] = v; return b }
	}
	for name, change := range map[string]func(request, answer []byte) []byte{
		"empty": cut(0), "one byte": cut(1), "short": cut(15), "of an address": cut(12),
		"another version": set(0, 2), "another operation": set(1, 130),
		"another internal port": set(8, 1),
		"external port 0":       func(_, b []byte) []byte { b[10], b[11] = 0, 0; return b },
		"lifetime 0":            func(_, b []byte) []byte { copy(b[12:], []byte{0, 0, 0, 0}); return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newPMP(t)
			g.with(func() { g.change = change })
			m := mapperAt(t, g.ip, Config{})
			t.Log(trouble(t, m))
			if m.External().IsValid() {
				t.Error("it is believed")
			}
		})
	}
}

// A gateway that grants a second, or has always just been restarted, does not keep us busy.
func TestNATPMPDoesNotKeepUsBusy(t *testing.T) {
	for name, change := range map[string]func(*fakePMP){
		"short leases": func(g *fakePMP) { g.lifetime = 1 },
		"restarts":     func(g *fakePMP) { g.change = func(_, b []byte) []byte { g.epoch--; return b } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newPMP(t)
			g.with(func() {
				g.epoch = 1 << 20
				change(g)
			})
			m := mapperAt(t, g.ip, Config{Check: 100 * time.Millisecond})
			if name == "restarts" {
				await(t, m, true)
			} else if text := trouble(t, m); !strings.Contains(text, "for 1s only") {
				t.Error(text)
			}
			time.Sleep(3 * time.Second)
			if n := len(g.mappings()); n > 10 { // one a second, or with growing pauses
				t.Errorf("%d requests to map in three seconds", n)
			}
			if name == "short leases" && m.External().IsValid() {
				t.Error("a lease that is over before it can be renewed is announced")
			}
		})
	}
}

// Leases that become too short to be renewed in time are announced no more, whatever was granted before.
func TestLeasesBecomeShort(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	m := mapperAt(t, g.ip, Config{Lifetime: 4 * time.Second})
	await(t, m, true)
	g.with(func() { g.lifetime = 1 })
	await(t, m, false)
	if text := trouble(t, m); !strings.Contains(text, "for 1s only") {
		t.Error(text)
	}
}

// A lease longer than what was asked for is not believed.
func TestNATPMPLongLease(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	g.with(func() { g.lifetime = 1<<32 - 1 })
	m := mapperAt(t, g.ip, Config{Lifetime: 2 * time.Second})
	await(t, m, true)
	first := m.Status().Renewed
	for end := time.Now().Add(time.Minute); m.Status().Renewed == first; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not renewed")
		}
	}
}

// The gateway stops answering: the address is kept while the lease lasts, and no longer.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	g := newPMP(t)
	began := time.Now()
	m := mapperAt(t, g.ip, Config{Lifetime: 10 * time.Second})
	await(t, m, true)
	g.with(func() { g.result = 2 })
	text := trouble(t, m)
	if !m.External().IsValid() || !strings.Contains(text, "not allowed") {
		t.Errorf("the address is gone at once: %s", text)
	}
	await(t, m, false)
	if took := time.Since(began); took < 9*time.Second {
		t.Errorf("the address is gone after %s", took)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no port": {}, "a gateway of IPv6": {Port: 1, Gateway: netip.MustParseAddr("fe80::1")},
	} {
		if m, err := New(cfg); err == nil {
			m.Close()
			t.Errorf("%s: no error", name)
		}
	}
	cfg := Config{Port: 1, Lifetime: 365 * 24 * time.Hour}
	if cfg.fill(); cfg.Lifetime != maxLifetime || cfg.Check != DefaultCheck || cfg.Logger == nil || cfg.Description == "" {
		t.Errorf("%+v", cfg)
	}
}
