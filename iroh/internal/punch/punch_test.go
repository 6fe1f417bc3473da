package punch

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
)

func addrs(text ...string) (out []netip.AddrPort) {
	for _, a := range text {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func TestParameter(t *testing.T) {
	given := []byte{1, 4, 0x80, 0, 0xea, 0x60}
	seen := addrs("203.0.113.9:4022", "[2001:db8::1]:1")
	with := appendParam(bytes.Clone(given), seen, maxAddrs)
	want := "f272696467657075" + "1a" + "04cb0071090fb6" + "0620010db8000000000000000000000001" + "0001"
	if got := hex.EncodeToString(with[len(given):]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for name, c := range map[string]struct{ put, want []netip.AddrPort }{
		"read again":   {seen, seen},
		"IPv4 in IPv6": {addrs("[::ffff:203.0.113.9]:4022"), seen[:1]},
		"of many":      {slices.Repeat(seen, 10), slices.Repeat(seen, 2)},
		"none":         {},
	} {
		if got, there := parse(appendParam(nil, c.put, maxAddrs), maxAddrs); !there || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, there)
		}
	}
	if got, _ := parse(appendParam(nil, slices.Repeat(seen, 10), maxTold), maxTold); len(got) != maxTold {
		t.Errorf("a server's: %v", got)
	}
}

func TestHostileParameters(t *testing.T) {
	const id = "f272696467657075"
	for name, text := range map[string]string{
		"nothing": "", "another parameter": "0104800000ff", "cut id": "f2726964", "cut value": id + "07" + "04cb007109",
		"length beyond all": id + "ffffffffffffffff", "unknown family": id + "07" + "05cb0071090fb6", "cut address": id + "03" + "04cb00",
		"no port": id + "05" + "04cb007109", "IPv4 in IPv6": id + "13" + "0600000000000000000000ffffcb0071090fb6",
		"five": id + "23" + "04cb0071090fb604cb0071090fb604cb0071090fb604cb0071090fb604cb0071090fb6",
	} {
		params, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := parse(params, maxAddrs); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	deep := append(bytes.Repeat([]byte{1, 0}, maxParams), appendParam(nil, addrs("203.0.113.9:1"), maxAddrs)...)
	if got, there := parse(deep, maxAddrs); got != nil || there {
		t.Errorf("behind many others: %v", got)
	}
}

func TestPrivateAddressesAreNotTaken(t *testing.T) {
	for text, want := range map[string]bool{
		"203.0.113.9:1": false, "100.64.0.1:5": true, "100.128.0.1:5": false, "[::ffff:10.0.0.1]:5": true, "198.18.0.1:1": true, "240.0.0.1:1": true, "[64:ff9b::a00:1]:1": true, "[2001:db8::1]:1": false, "10.0.0.1:5": true, "192.168.1.1:53": true, "172.16.0.1:1": true,
		"[fd00::1]:1": true, "[fe80::1]:1": true, "169.254.169.254:80": true, "224.0.0.1:1": true, "[ff02::1]:1": true, "0.0.0.0:1": true, "203.0.113.9:0": true,
	} {
		if inside(netip.MustParseAddrPort(text)) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(appendParam([]byte{1, 4, 0x80, 0, 0xea, 0x60}, addrs("203.0.113.9:4022", "[2001:db8::1]:1"), maxAddrs))
	f.Add([]byte{0xf2, 0x72, 0x69, 0x64, 0x67, 0x65, 0x70, 0x75, 7, 4, 1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, params []byte) {
		for _, limit := range []int{maxAddrs, maxTold} {
			got, there := parse(params, limit)
			if len(got) > limit || len(got) > 0 && !there {
				t.Fatalf("%d addresses, %v", len(got), there)
			}
			if again, _ := parse(appendParam(nil, got, limit), limit); !slices.Equal(again, got) {
				t.Fatalf("%v is read differently again", got)
			}
		}
	})
}
