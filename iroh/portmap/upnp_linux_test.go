package portmap

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mine is the entry that a mapper on loopback makes.
func mine(seconds string) entry { return entry{"127.0.0.1", "4022", seconds} }

func TestUPnPMapsTheSamePort(t *testing.T) {
	t.Parallel()
	g := newIGD(t)
	m := g.mapper(t, Config{Lifetime: time.Hour})
	if a := await(t, m, true); a.String() != "8.8.4.4:4022" {
		t.Error(a)
	}
	g.with(func() {
		if g.entries["4022"] != mine("3600") || len(g.entries) != 1 {
			t.Errorf("%+v", g.entries)
		}
	})
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error("again:", err)
	}
	g.with(func() {
		if len(g.entries) != 0 {
			t.Errorf("after Close: %+v", g.entries)
		}
	})
}

func TestUPnPGatewayKnowsNoLeases(t *testing.T) {
	t.Parallel()
	g := newIGD(t)
	g.fault = func(action string, args map[string]string) int {
		if action == "AddPortMapping" && args["NewLeaseDuration"] != "0" {
			return permanentOnly
		}
		return 0
	}
	m := g.mapper(t, Config{Lifetime: 2 * time.Second})
	await(t, m, true)
	first := m.Status().Renewed
	for end := time.Now().Add(time.Minute); m.Status().Renewed == first; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not renewed")
		}
	}
	g.with(func() {
		if g.entries["4022"] != mine("0") || g.asked["AddPortMapping"] < 3 {
			t.Errorf("%+v, %v", g.entries, g.asked)
		}
	})
	m.Close()
	g.with(func() {
		if len(g.entries) != 0 {
			t.Error("a mapping without an end is left behind")
		}
	})
}

func TestUPnPPortOfAnother(t *testing.T) {
	t.Parallel()
	theirs := entry{"192.0.2.9", "4022", "0"}
	for name, fault := range map[string]func(string, map[string]string) int{
		"that would be overwritten": nil,
		"that is refused without being shown": func(action string, args map[string]string) int {
			switch {
			case action == "GetSpecificPortMappingEntry":
				return 401
			case action == "AddPortMapping" && args["NewExternalPort"] == "4022":
				return conflict
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newIGD(t)
			g.entries["4022"], g.fault = theirs, fault
			m := g.mapper(t, Config{Check: 100 * time.Millisecond})
			a := await(t, m, true)
			if a.Port() == 4022 || a.Port() < 1024 {
				t.Error(a)
			}
			time.Sleep(500 * time.Millisecond)
			if again := m.External(); again != a {
				t.Errorf("%s became %s", a, again)
			}
			m.Close()
			g.with(func() {
				if len(g.entries) != 1 || g.entries["4022"] != theirs {
					t.Errorf("after Close: %+v", g.entries)
				}
			})
		})
	}
}

func TestUPnPRefusals(t *testing.T) {
	for code, want := range map[int]string{
		401: "does not know", 501: "501", 606: "not allowed", conflict: "taken", samePortRequired: "same port", 728: "no room", 999: "error 999",
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			g := newIGD(t)
			g.fault = func(action string, _ map[string]string) int {
				if action == "AddPortMapping" {
					return code
				}
				return 0
			}
			once := quick()
			once.pause = time.Hour
			m := mapperAtPace(t, g.ip, Config{}, once)
			if text := trouble(t, m); !strings.Contains(text, want) {
				t.Error(text)
			}
			g.with(func() {
				if n := g.asked["AddPortMapping"]; n > maxPorts || code != conflict && n > 2 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

// The mapping vanishes, or becomes somebody else's, while the gateway stays.
func TestUPnPMappingIsLost(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fakeIGD){
		"removed":  func(g *fakeIGD) { delete(g.entries, "4022") },
		"replaced": func(g *fakeIGD) { g.entries["4022"] = entry{"192.0.2.9", "1", "0"} },
	} {
		t.Run(name, func(t *testing.T) {
			g := newIGD(t)
			m := g.mapper(t, Config{Check: 50 * time.Millisecond})
			await(t, m, true)
			changed := m.Changed()
			g.with(func() { change(g) })
			<-changed
			a := await(t, m, true)
			g.with(func() {
				if g.entries[strconv.Itoa(int(a.Port()))].client != "127.0.0.1" || (name == "replaced") != (a.Port() != 4022) {
					t.Errorf("%s: %+v", a, g.entries)
				}
			})
		})
	}
}

// The gateway's own address changes from public to private and back.
func TestUPnPExternalAddressChanges(t *testing.T) {
	t.Parallel()
	g := newIGD(t)
	m := g.mapper(t, Config{Check: 50 * time.Millisecond})
	await(t, m, true)
	for _, c := range []struct{ ip, want string }{
		{"100.64.0.7", "second NAT"}, {"9.9.9.1", ""}, {"", "no external address"}, {"9.9.9.2", ""}, {"10.0.0.1", "second NAT"},
	} {
		g.with(func() { g.external = c.ip })
		a := await(t, m, c.want == "")
		s := m.Status()
		if c.want == "" {
			if a.Addr().String() != c.ip || s.External != a || s.Err != nil {
				t.Errorf("%s: %s, %+v", c.ip, a, s)
			}
			continue
		}
		if s.Err == nil || !strings.Contains(s.Err.Error(), c.want) || s.Protocol != UPnP || c.ip != "" && s.External.Addr().String() != c.ip {
			t.Errorf("%s: %+v", c.ip, s)
		}
	}
	m.Close()
	g.with(func() {
		if len(g.entries) != 0 {
			t.Error("the mapping behind a second NAT is left behind")
		}
	})
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "5.5.5.1": true, "192.0.2.1": true, "203.0.113.9": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "172.16.0.1": false, "172.32.0.1": true, "192.168.1.1": false,
		"100.64.0.1": false, "100.127.255.254": false, "100.128.0.1": true, "127.0.0.1": false, "169.254.1.1": false,
		"192.0.0.2": false, "198.18.0.1": false, "198.20.0.1": true, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"2001:db8::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
