package observe

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay"
)

func at(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

// sight is what a server sees.
func sight(server, addr string) Sight {
	return Sight{Server: at(server), Addr: at(addr), At: time.Now(), asked: true}
}

func TestKinds(t *testing.T) {
	const a, b, c = "192.0.2.1:7842", "192.0.2.1:7843", "192.0.2.2:7842"
	const local, seen, other = "10.0.0.5:4022", "198.51.100.7:4022", "198.51.100.7:1029"
	failed := sight(c, other)
	failed.Err = errors.New("no answer")
	for name, test := range map[string]struct {
		sights []Sight
		want   NAT
	}{
		"nobody":                         {nil, Unknown},
		"one":                            {[]Sight{sight(a, seen)}, Unknown},
		"one twice":                      {[]Sight{sight(a, seen), sight(a, seen)}, Unknown},
		"two relays, one address":        {[]Sight{sight(a, seen), sight(c, seen)}, EndpointIndependent},
		"two ports, one address":         {[]Sight{sight(a, seen), sight(b, seen)}, EndpointIndependent},
		"two relays, two ports":          {[]Sight{sight(a, seen), sight(c, other)}, EndpointDependent},
		"two of three":                   {[]Sight{sight(a, seen), sight(b, seen), sight(c, other)}, EndpointDependent},
		"one fails":                      {[]Sight{sight(a, seen), failed}, Unknown},
		"one fails, two agree":           {[]Sight{sight(a, seen), sight(b, seen), failed}, EndpointIndependent},
		"an address of this machine":     {[]Sight{sight(a, local), sight(c, local)}, None},
		"one sees ours":                  {[]Sight{sight(a, local)}, None},
		"not asked":                      {[]Sight{{}, {}}, Unknown},
		"nothing was seen, but no error": {[]Sight{sight(a, ""), sight(c, "")}, Unknown},
	} {
		for range 20 { // in whatever order
			if got := kind(test.sights, []netip.AddrPort{at("127.0.0.1:4022"), at(local)}); got != test.want {
				t.Fatalf("%s: %s, want %s", name, got, test.want)
			}
		}
	}
}

func TestAddrsAge(t *testing.T) {
	old := sight("192.0.2.1:1", "198.51.100.1:1")
	old.At = time.Now().Add(-fresh)
	v6 := sight("[2001:db8::1]:1", "[2001:db8::5]:4022")
	failed := sight("192.0.2.2:1", "198.51.100.2:1")
	failed.Err = errors.New("no answer")
	o := &Observer{seen: []Seen{{V4: old, V6: v6}, {V4: failed, V6: v6}, {}}}
	if got := o.Addrs(); !slices.Equal(got, []netip.AddrPort{at("198.51.100.2:1"), at("[2001:db8::5]:4022")}) {
		t.Errorf("%v", got)
	}
}

// Of a NAT that shows everybody another address nobody is told, also when one of two relays has not answered the last time.
func TestOneLostAnswerMakesNoAddressGood(t *testing.T) {
	a, b := sight("192.0.2.1:1", "198.51.100.1:1"), sight("192.0.2.2:1", "198.51.100.1:2")
	b.Err = errors.New("no answer")
	o := &Observer{seen: []Seen{{V4: a}, {V4: b}}}
	if got := o.Addrs(); len(got) > 0 {
		t.Errorf("%v", got)
	}
	b.At = time.Now().Add(-fresh)
	o.seen[1].V4 = b
	if got := o.Addrs(); !slices.Equal(got, []netip.AddrPort{a.Addr}) {
		t.Errorf("when what the other one saw is old: %v", got)
	}
}

// Latencies are what a home is chosen by: a relay that answers address discovery and no request is of no use as one.
func TestRelayWithoutTCPIsNoHome(t *testing.T) {
	quick := sight("192.0.2.1:1", "198.51.100.1:1")
	quick.RTT = time.Millisecond
	refused := errors.New("connection refused")
	good := relay.Latency{Value: 30 * time.Millisecond}
	got := latencies([]Seen{{V4: quick, Ping: relay.Latency{Err: refused}}, {Ping: good}, {V4: quick, Ping: good}}, nil)
	if got[0].Value != 0 || !errors.Is(got[0].Err, refused) {
		t.Errorf("without TCP: %+v", got[0])
	}
	if got[1].Value != good.Value || got[1].Err != nil || got[2].Value != quick.RTT || got[2].Err != nil {
		t.Errorf("good ones: %+v", got[1:])
	}
}

func TestLatencyOfARelay(t *testing.T) {
	quick, slow := sight("192.0.2.1:1", "198.51.100.1:1"), sight("[2001:db8::1]:1", "[2001:db8::5]:1")
	quick.RTT, slow.RTT = 10*time.Millisecond, 20*time.Millisecond
	failed := quick
	failed.Err = errors.New("no answer")
	ping := relay.Latency{Value: 5 * time.Millisecond}
	for name, c := range map[string]struct {
		seen Seen
		want time.Duration
	}{
		"both families": {Seen{V4: quick, V6: slow, Ping: ping}, quick.RTT},
		"one family":    {Seen{V4: failed, V6: slow, Ping: ping}, slow.RTT},
		"pings alone":   {Seen{V4: failed, Ping: ping}, ping.Value},
		"nothing":       {Seen{V4: failed, Ping: relay.Latency{Value: 1, Err: failed.Err}}, 0},
	} {
		if got := c.seen.Latency(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What a relay saw is kept when a round fails, and when one is cut short, which says nothing.
func TestWhatARoundLeaves(t *testing.T) {
	before, now := sight("192.0.2.1:1", "198.51.100.1:1"), sight("192.0.2.1:1", "198.51.100.1:2")
	failed := Sight{Err: errors.New("no answer"), asked: true}
	if got := before.after(now, true); got != now {
		t.Errorf("a new one: %+v", got)
	}
	if got := before.after(failed, true); got.Addr != before.Addr || got.At != before.At || got.Err == nil {
		t.Errorf("a failure: %+v", got)
	}
	if got := before.after(failed, false); got != before {
		t.Errorf("cut short: %+v", got)
	}
	if got := before.after(Sight{}, true); got != before {
		t.Errorf("not asked: %+v", got)
	}
}
