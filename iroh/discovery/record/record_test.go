package record_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func owner() key.EndpointID { return key.SecretKeyFromSeed([32]byte{1}).ID() }

func addr(relays []string, direct ...string) record.Record {
	a := ticket.EndpointAddr{ID: owner(), Relays: relays}
	for _, d := range direct {
		a.Direct = append(a.Direct, netip.MustParseAddrPort(d))
	}
	return record.New(a)
}

func TestParse(t *testing.T) {
	relay := []string{"https://relay.example./"}
	long := strings.Repeat("x", record.MaxUserData)
	with := func(r record.Record, text string) record.Record { r.UserData = text; return r }
	custom := func(transport uint64, data string) record.Record {
		return record.New(ticket.EndpointAddr{ID: owner(), Custom: []ticket.CustomAddr{{Transport: transport, Data: []byte(data)}}})
	}
	for name, test := range map[string]struct {
		in   []string
		want record.Record
	}{
		"nothing":            {nil, addr(nil)},
		"every kind":         {[]string{"relay=https://relay.example./", "addr=192.0.2.7:4433", "addr=[2001:db8::1]:65535", "user-data=hello world"}, with(addr(relay, "192.0.2.7:4433", "[2001:db8::1]:65535"), "hello world")},
		"order is kept":      {[]string{"addr=192.0.2.9:1", "addr=192.0.2.1:1"}, addr(nil, "192.0.2.9:1", "192.0.2.1:1")},
		"twice the same":     {[]string{"addr=192.0.2.9:1", "addr=192.0.2.9:1"}, addr(nil, "192.0.2.9:1")},
		"mapped is IPv4":     {[]string{"addr=[::ffff:192.0.2.9]:1"}, addr(nil, "192.0.2.9:1")},
		"unknown key":        {[]string{"later=thing", "addr=192.0.2.9:1"}, addr(nil, "192.0.2.9:1")},
		"no equals sign":     {[]string{"addr", "", "addr=192.0.2.9:1"}, addr(nil, "192.0.2.9:1")},
		"key in upper case":  {[]string{"ADDR=192.0.2.9:1"}, addr(nil)},
		"address list":       {[]string{"addr=192.0.2.9:1 192.0.2.8:1"}, addr(nil)},
		"no port":            {[]string{"addr=192.0.2.9"}, addr(nil)},
		"port 0":             {[]string{"addr=192.0.2.9:0"}, addr(nil)},
		"port too large":     {[]string{"addr=192.0.2.9:65536"}, addr(nil)},
		"unspecified":        {[]string{"addr=0.0.0.0:1", "addr=[::]:1"}, addr(nil)},
		"multicast":          {[]string{"addr=224.0.0.251:5353", "addr=[ff02::fb]:5353", "addr=255.255.255.255:1"}, addr(nil)},
		"link-local":         {[]string{"addr=[fe80::1]:1", "addr=[fe80::1%eth0]:1"}, addr(nil)},
		"host name":          {[]string{"addr=example.com:1"}, addr(nil)},
		"custom":             {[]string{"addr=1f_00ff"}, custom(0x1f, "\x00\xff")},
		"custom, no data":    {[]string{"addr=1_"}, custom(1, "")},
		"custom, bad":        {[]string{"addr=_00", "addr=1_0", "addr=1_zz", "addr=1_FF", "addr=11111111111111111_00"}, addr(nil)},
		"relay with equals":  {[]string{"relay=https://relay.example./?a=b"}, addr([]string{"https://relay.example./?a=b"})},
		"relay, odd":         {[]string{"relay=", "relay=relay.example", "relay=ftp://relay.example/", "relay=file:///etc/passwd", "relay=https://user@relay.example/", "relay=https://relay.example/\x1b[2J", "relay=https://"}, addr(nil)},
		"relay too long":     {[]string{"relay=https://" + strings.Repeat("a", 250) + "/"}, addr(nil)},
		"longest user data":  {[]string{"user-data=" + long}, with(addr(nil), long)},
		"user data too long": {[]string{"user-data=" + long + "x"}, addr(nil)},
		"first user data":    {[]string{"user-data=one", "user-data=two"}, with(addr(nil), "one")},
		"control characters": {[]string{"user-data=\x1b[31mred"}, addr(nil)},
		"not UTF-8":          {[]string{"user-data=\xff"}, addr(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := record.Parse(owner(), test.in); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestTooManyAddresses(t *testing.T) {
	var in []string
	for i := range 1000 {
		in = append(in, fmt.Sprintf("addr=192.0.2.1:%d", i+1), fmt.Sprintf("relay=https://%d.example/", i), fmt.Sprintf("addr=%x_00", i))
	}
	a := record.Parse(owner(), in).Addr
	if len(a.Direct) != record.MaxDirect || len(a.Relays) != record.MaxRelays || len(a.Custom) != record.MaxCustom {
		t.Errorf("kept %d addresses, %d relays, %d others", len(a.Direct), len(a.Relays), len(a.Custom))
	}
	if a.Direct[0].Port() != 1 || a.Relays[0] != "https://0.example/" {
		t.Error("the first ones are not the ones that were kept")
	}
	if merged := record.New(a).Merge(addr(nil, "198.51.100.1:1")); len(merged.Addr.Direct) != record.MaxDirect {
		t.Errorf("merging goes beyond the limit: %d", len(merged.Addr.Direct))
	}
}

func TestAttributes(t *testing.T) {
	r := addr([]string{"http://127.0.0.1:3340/"}, "[2001:db8::1]:65535", "192.0.2.7:4433")
	r.Addr.Custom = []ticket.CustomAddr{{Transport: 0x1f, Data: []byte{0, 255}}}
	r.UserData = "hello world"
	got, err := r.Attributes()
	want := []string{"relay=http://127.0.0.1:3340/", "addr=[2001:db8::1]:65535", "addr=192.0.2.7:4433", "addr=1f_00ff", "user-data=hello world"}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
	if back := record.Parse(owner(), got); !back.Equal(r) {
		t.Errorf("read back as %+v", back)
	}
}

func TestUnpublishable(t *testing.T) {
	data := addr(nil)
	data.UserData = strings.Repeat("é", 123)
	for name, r := range map[string]record.Record{
		"relay that iroh would cut": addr([]string{"https://relay.example./?token=1"}),
		"relay too long":            addr([]string{"https://relay.example./" + strings.Repeat("a", 300)}),
		"no relay URL":              addr([]string{"relay.example"}),
		"user data too long":        data,
	} {
		if got, err := r.Attributes(); !errors.Is(err, record.ErrUnpublishable) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestMergeSharesNothing(t *testing.T) {
	a, b := addr([]string{"https://a.example/"}, "192.0.2.1:1"), addr([]string{"https://b.example/"}, "192.0.2.1:1", "192.0.2.2:1")
	b.Addr.Custom = []ticket.CustomAddr{{Transport: 1, Data: []byte{1}}}
	b.UserData = "b"
	got := a.Merge(b)
	want := addr([]string{"https://a.example/", "https://b.example/"}, "192.0.2.1:1", "192.0.2.2:1")
	want.Addr.Custom, want.UserData = []ticket.CustomAddr{{Transport: 1, Data: []byte{1}}}, "b"
	if !got.Equal(want) {
		t.Errorf("got %+v", got)
	}
	b.Addr.Custom[0].Data[0], a.Addr.Direct[0] = 9, netip.AddrPort{}
	if !got.Equal(want) {
		t.Error("the merged record changed with its parts")
	}
	if got.Empty() || !addr(nil).Empty() || got.Equal(a) {
		t.Error("Empty or Equal is wrong")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("relay=https://relay.example./\naddr=192.0.2.7:4433\naddr=[2001:db8::1]:65535\nuser-data=hello world")
	f.Add("addr=1f_00ff\naddr=1_\naddr=_\nrelay=\nuser-data=\n=\nlater=x")
	f.Add("addr=[fe80::1%25eth0]:1\nrelay=https://[::1]:3340/\nrelay=http://a/?b=c")
	for _, text := range []string{
		"relay=https://euc1-1.relay.n0.iroh.link./", "addr=192.0.2.7:0", "addr=192.0.2.7", "addr=[::ffff:192.0.2.7]:1", "addr=255.255.255.255:1",
		"relay=https://a/\nrelay=https://a/", "relay=ftp://a/", "RELAY=https://a/", "user-data=" + strings.Repeat("x", 246), "user-data=\xff\nuser-data=a=b",
		strings.Repeat("addr=192.0.2.7:1\naddr=192.0.2.8:1\n", 40), "addr=ffffffffffffffffffff_00", "addr=0_zz",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := record.Parse(owner(), strings.Split(text, "\n"))
		if len(r.Addr.Relays) > record.MaxRelays || len(r.Addr.Direct) > record.MaxDirect || len(r.Addr.Custom) > record.MaxCustom {
			t.Fatalf("over a limit: %+v", r)
		}
		if !r.Equal(r.Usable()) {
			t.Fatalf("not usable: %+v", r)
		}
		attributes, err := r.Attributes()
		if err != nil {
			if slices.ContainsFunc(r.Addr.Relays, func(u string) bool { return strings.Contains(u, "=") }) {
				return
			}
			t.Fatalf("%+v: %v", r, err)
		}
		if back := record.Parse(owner(), attributes); !back.Equal(r) {
			t.Fatalf("%+v became %+v", r, back)
		}
	})
}

func ExampleParse() {
	id := key.SecretKeyFromSeed([32]byte{1}).ID()
	r := record.Parse(id, []string{"relay=https://relay.example./", "addr=192.0.2.7:4433", "weather=fine"})
	fmt.Println(r.Addr.Relays, r.Addr.Direct)
	// Output: [https://relay.example./] [192.0.2.7:4433]
}
