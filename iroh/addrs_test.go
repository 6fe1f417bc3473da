package iroh

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	const port = ":4022"
	machine := "127.0.0.1 192.168.1.7 10.0.0.9 ::1 fe80::1 2001:db8::7 fd00::7 169.254.1.1"
	for _, c := range []struct {
		name    string
		v4, v6  bool
		machine string
		want    string
	}{
		{"both", true, true, machine, "192.168.1.7 10.0.0.9 2001:db8::7 fd00::7"},
		{"IPv4", true, false, machine, "192.168.1.7 10.0.0.9"},
		{"IPv6", false, true, machine, "2001:db8::7 fd00::7"},
		{"loopback alone", true, true, "127.0.0.1 ::1 fe80::1", "127.0.0.1 ::1"},
		{"loopback alone, IPv4", true, false, "127.0.0.1 ::1", "127.0.0.1"},
		{"nothing, IPv4", true, false, "", "127.0.0.1"},
		{"nothing, IPv6", false, true, "192.168.1.7", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in []netip.Addr
			for _, s := range strings.Fields(c.machine) {
				in = append(in, netip.MustParseAddr(s))
			}
			s := &socket{v4: c.v4, v6: c.v6, local: netip.MustParseAddrPort("0.0.0.0" + port)}
			var got []string
			for _, a := range expand(s, in) {
				if a.Port() != 4022 {
					t.Errorf("port of %s", a)
				}
				got = append(got, a.Addr().String())
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// The addresses of a wildcard socket are those of the machine, which the standard library lists too.
func TestLocalAddrsOfAWildcard(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "::"} {
		e := endpoint(t, host)
		got := e.LocalAddrs()
		if len(got) == 0 {
			t.Fatal("no address")
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range got {
			if !dialable(a) || a.Port() != e.socket.local.Port() || host == "0.0.0.0" && !a.Addr().Is4() {
				t.Errorf("%s on %s", a, host)
			}
			if !slices.ContainsFunc(all, func(n net.Addr) bool { return n.(*net.IPNet).IP.String() == a.Addr().String() }) {
				t.Errorf("%s is not an address of this machine", a)
			}
		}
	}
}

func TestLocalAddrsOfABoundSocket(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		e := endpoint(t, ip)
		if got := e.LocalAddrs(); !slices.Equal(got, []netip.AddrPort{loopback(e, ip)}) || got[0].Port() == 0 {
			t.Errorf("got %v", got)
		}
	}
}

func TestAnnouncedAddressesComeFirst(t *testing.T) {
	announced := []netip.AddrPort{netip.MustParseAddrPort("203.0.113.1:7"), netip.MustParseAddrPort("203.0.113.1:7"), netip.MustParseAddrPort("203.0.113.2:7")}
	e := endpoint(t, "127.0.0.1", func(c *Config) { c.Announce = announced })
	addr := e.Addr()
	want := []netip.AddrPort{announced[0], announced[2], e.socket.local}
	if addr.ID != e.ID() || !slices.Equal(addr.Direct, want) {
		t.Errorf("got %v", addr)
	}
	e = endpoint(t, "127.0.0.1", func(c *Config) {
		for i := range 100 {
			c.Announce = append(c.Announce, netip.AddrPortFrom(announced[0].Addr(), uint16(i+1)))
		}
	})
	if n := len(e.Addr().Direct); n != maxAnnounced {
		t.Errorf("%d addresses", n)
	}
}
