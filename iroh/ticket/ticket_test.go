package ticket

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// sample is one of testdata/tickets.json, made by iroh-blobs 0.104.0 and
// iroh-tickets 1.0.0; the node ticket has the layout of iroh-base 0.35.0.
type sample struct {
	Kind   string
	Name   string
	String string
	Bytes  string `json:"bytes_hex"`
}

func samples(t testing.TB) []sample {
	t.Helper()
	b, err := os.ReadFile("testdata/tickets.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []sample
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// owner is the endpoint of all samples: the key whose seed is 32 times 01.
func owner() key.EndpointID {
	return key.SecretKeyFromSeed([32]byte([]byte(strings.Repeat("\x01", 32)))).ID()
}

func direct(s ...string) (out []netip.AddrPort) {
	for _, a := range s {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func content(n int) bao.Hash {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return bao.Sum(b)
}

func TestVectors(t *testing.T) {
	const relay = "https://relay.example.com./"
	id, v4, both := owner(), direct("192.0.2.7:4433"), direct("192.0.2.7:4433", "[2001:db8::1]:65535")
	want := map[string]any{
		"id only, raw":                  Blob{EndpointAddr{ID: id}, content(1), Raw},
		"relay only, raw":               Blob{EndpointAddr{ID: id, Relays: []string{relay}}, content(1), Raw},
		"relay http + v4 + v6, hashseq": Blob{EndpointAddr{ID: id, Relays: []string{"http://127.0.0.1:3340/"}, Direct: both}, content(1025), HashSeq},
		"v4 only, hashseq":              Blob{EndpointAddr{ID: id, Direct: v4}, content(1025), HashSeq},
		"endpoint id only":              Endpoint{EndpointAddr{ID: id}},
		"endpoint relay + v4 + v6":      Endpoint{EndpointAddr{ID: id, Relays: []string{relay}, Direct: both}},
		"endpoint custom addr":          Endpoint{EndpointAddr{ID: id, Custom: []CustomAddr{{300, []byte{1, 2, 3}}}}},
		"legacy node ticket (layout from iroh-base 0.35.0, bytes built here)": Endpoint{EndpointAddr{ID: id, Relays: []string{relay}, Direct: both}},
	}
	list := samples(t)
	if len(list) != len(want) {
		t.Errorf("%d samples, %d expectations", len(list), len(want))
	}
	for _, s := range list {
		for _, text := range []string{s.String, s.Kind + strings.ToUpper(s.String[len(s.Kind):])} {
			var got any
			var err error
			if s.Kind == "blob" {
				got, err = ParseBlob(text)
			} else {
				got, err = ParseEndpoint(text)
			}
			if err != nil || !reflect.DeepEqual(got, want[s.Name]) {
				t.Errorf("%s: %+v, %v; want %+v", s.Name, got, err, want[s.Name])
			}
		}
		switch tk := want[s.Name].(type) {
		case Blob:
			if tk.String() != s.String {
				t.Errorf("%s: written as %s, want %s", s.Name, tk, s.String)
			}
		case Endpoint:
			if s.Kind == "endpoint" && tk.String() != s.String {
				t.Errorf("%s: written as %s, want %s", s.Name, tk, s.String)
			}
			if back, err := ParseEndpoint(tk.String()); err != nil || !reflect.DeepEqual(back, tk) {
				t.Errorf("%s: written and read as %+v, %v", s.Name, back, err)
			}
		}
	}
}

// TestOrder writes addresses that are neither sorted nor single nor in iroh's form.
func TestOrder(t *testing.T) {
	addr := EndpointAddr{
		ID:     owner(),
		Relays: []string{"https://b.example/", "HTTPS://A.Example", "https://a.example/"},
		Direct: direct("[::1]:9", "9.0.0.0:1", "10.0.0.0:1", "9.0.0.0:1", "[fe80::1%eth0]:5", "9.0.0.0:0", "[::ffff:1.2.3.4]:7"),
		Custom: []CustomAddr{{2, []byte{0}}, {1, []byte{9}}, {2, []byte{0}}, {1, []byte{1, 1}}},
	}
	addr.Direct = append(addr.Direct, netip.AddrPort{})
	sorted := EndpointAddr{
		ID:     addr.ID,
		Relays: []string{"https://a.example/", "https://b.example/"},
		Direct: direct("9.0.0.0:0", "9.0.0.0:1", "10.0.0.0:1", "[::1]:9", "[::ffff:1.2.3.4]:7", "[fe80::1]:5"),
		Custom: []CustomAddr{{1, []byte{1, 1}}, {1, []byte{9}}, {2, []byte{0}}},
	}
	before := slices.Clone(addr.Direct)
	if got, err := ParseEndpoint(Endpoint{addr}.String()); err != nil || !reflect.DeepEqual(got.Addr, sorted) {
		t.Errorf("endpoint: %+v, %v; want %+v", got.Addr, err, sorted)
	}
	got, err := ParseBlob(Blob{addr, bao.EmptyHash(), HashSeq}.String())
	sorted.Relays, sorted.Custom = sorted.Relays[:1], nil
	if err != nil || !reflect.DeepEqual(got, Blob{sorted, bao.EmptyHash(), HashSeq}) {
		t.Errorf("blob: %+v, %v; want %+v", got, err, sorted)
	}
	if !slices.Equal(addr.Direct, before) || addr.Relays[0] != "https://b.example/" || addr.Custom[0].Transport != 2 {
		t.Error("String changed the ticket")
	}
	if got := normalURL("not a url"); got != "not a url" {
		t.Errorf("a text that is no URL became %q", got)
	}
}

func TestText(t *testing.T) {
	type doc struct {
		Blob     Blob
		Endpoint Endpoint
	}
	list := samples(t)
	in := `{"Blob":"` + list[2].String + `","Endpoint":"` + list[5].String + `"}`
	var d doc
	if err := json.Unmarshal([]byte(in), &d); err != nil {
		t.Fatal(err)
	}
	if out, err := json.Marshal(d); string(out) != in || err != nil {
		t.Errorf("%s, %v; want %s", out, err, in)
	}
	if err := json.Unmarshal([]byte(`{"Endpoint":"blobaa"}`), &d); !errors.Is(err, ErrKind) {
		t.Errorf("wrong kind: %v", err)
	}
	for f, want := range map[Format]string{Raw: "raw", HashSeq: "hashseq", 7: "format 7"} {
		if f.String() != want {
			t.Errorf("format %d prints %q", uint8(f), f)
		}
	}
}

// old returns the fields that tickets before iroh 0.12 had, in the order of v0.8.
func old(id key.EndpointID) []byte {
	b := append([]byte(nil), id[:]...)
	b = append(b, 1, 2) // DERP region 2
	b = append(b, 1)    // one address
	b = postcard.AppendAddrPort(b, netip.MustParseAddrPort("1.2.3.4:5"))
	b = append(b, 0) // format
	h := bao.EmptyHash()
	b = append(b, h[:]...)
	return append(b, 1, 3, 7, 7, 7) // token of three bytes
}

// TestRefuses has the tickets that are not read, and what the error says of each.
func TestRefuses(t *testing.T) {
	list := samples(t)
	lower := func(b []byte) string {
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	}
	h := bao.EmptyHash()
	v04 := slices.Concat(h[:], owner().SPKI()[12:], []byte{1}, postcard.AppendAddrPort(nil, netip.MustParseAddrPort("1.2.3.4:5")), h[:])
	blob, endpoint, node := list[0].String, list[4].String, list[7].String
	for _, c := range []struct {
		name, text string
		blob, endp error
		says       string
	}{
		{"iroh 0.4", base64.RawURLEncoding.EncodeToString(v04), ErrTooOld, ErrTooOld, "before iroh 0.9"},
		{"iroh 0.6 to 0.8", lower(old(owner())), ErrTooOld, ErrTooOld, "before iroh 0.9"},
		{"between 0.8 and 0.9", "blob:" + lower(old(owner())), ErrTooOld, ErrKind, ""},
		{"iroh 0.9 to 0.11", "blob" + lower(old(owner())), ErrTooOld, ErrKind, ""},
		{"neither old nor new", "blob" + lower(old(owner())[1:]), ErrMalformed, ErrKind, ""},
		{"a later variant", "blob" + lower(append([]byte{1}, old(owner())...)), ErrMalformed, ErrKind, ""},
		{"document", "docaaacarwhmusoqf362j3jpzrehzkw3bqamcp2mmbhn3fmag3mzzfjp4", ErrKind, ErrKind, "iroh-docs"},
		{"blob ticket", blob, nil, ErrKind, "names content"},
		{"endpoint ticket", endpoint, ErrKind, nil, "no content"},
		{"node ticket", node, ErrKind, nil, "no content"},
		{"upper-case kind", "BLOB" + blob[4:], ErrMalformed, ErrMalformed, "begins with"},
		{"nothing", "", ErrMalformed, ErrMalformed, "begins with"},
		{"kind only", "blob", ErrMalformed, ErrKind, ""},
		{"a CID", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", ErrMalformed, ErrMalformed, "begins with"},
		{"a hash", h.String(), ErrMalformed, ErrMalformed, "begins with"},
		{"control characters", "\x1b[31m" + blob, ErrMalformed, ErrMalformed, "begins with"},
		{"line break", blob[:40] + "\n" + blob[40:], ErrMalformed, ErrKind, ""},
		{"padding", blob + "=", ErrMalformed, ErrKind, ""},
		{"not base32", "blob0189" + blob[8:], ErrMalformed, ErrKind, ""},
		{"too long", "blob" + strings.Repeat("a", maxLen), ErrMalformed, ErrMalformed, "too many"},
		{"endpoint of variant 1", "endpoint" + lower(append([]byte{1}, owner().SPKI()[12:]...)), ErrKind, ErrMalformed, ""},
	} {
		_, err := ParseBlob(c.text)
		if !errors.Is(err, c.blob) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s as a blob ticket: %v, want %v that says %q", c.name, err, c.blob, c.says)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: control characters in %q", c.name, err)
		}
		_, err = ParseEndpoint(c.text)
		if !errors.Is(err, c.endp) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s as an endpoint ticket: %v, want %v that says %q", c.name, err, c.endp, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "a endpoint") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestDamaged cuts every sample at every byte, and changes fields to what they
// must not be.
func TestDamaged(t *testing.T) {
	parse := func(kind string, b []byte) error {
		if kind == "blob" {
			_, err := ParseBlob(encode(kind, b))
			return err
		}
		_, err := ParseEndpoint(encode(kind, b))
		return err
	}
	for _, s := range samples(t) {
		b, err := hex.DecodeString(s.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range b {
			if err := parse(s.Kind, b[:cut]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d: %v", s.Name, cut, err)
			}
		}
		if err := parse(s.Kind, append(slices.Clone(b), "later fields"...)); err != nil {
			t.Errorf("%s with bytes after it: %v", s.Name, err)
		}
	}
	id := owner()
	short := func(rest ...byte) []byte { return slices.Concat([]byte{0}, id[:], rest) }
	url := func(s string) []byte { return postcard.AppendString([]byte{1}, s) }
	for name, b := range map[string][]byte{
		"small-order id":       slices.Concat([]byte{0, 1}, make([]byte, 34), bytes.Repeat([]byte{0xff}, 32)),
		"option 2":             short(append([]byte{2}, make([]byte, 40)...)...),
		"format 2":             short(append([]byte{0, 0, 2}, make([]byte, 32)...)...),
		"count of 2^63":        short(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
		"address kind 2":       short(append([]byte{0, 1, 2}, make([]byte, 60)...)...),
		"port of three bytes":  short(append([]byte{0, 1, 0, 1, 2, 3, 4, 0xff, 0xff, 4, 0}, make([]byte, 32)...)...),
		"URL not UTF-8":        short(append(url("https://\xff/"), make([]byte, 34)...)...),
		"URL without a host":   short(append(url("https:///x"), make([]byte, 34)...)...),
		"URL without a scheme": short(append(url("//relay.example/"), make([]byte, 34)...)...),
		"URL with a newline":   short(append(url("https://relay.example/\n"), make([]byte, 34)...)...),
		"URL with a space":     short(append(url("https://relay.example/ x"), make([]byte, 34)...)...),
		"URL of 3000 bytes":    short(append(url("https://r/"+strings.Repeat("a", 3000)), make([]byte, 34)...)...),
	} {
		if err := parse("blob", b); !errors.Is(err, ErrMalformed) {
			t.Errorf("blob ticket, %s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"address kind 3": short(1, 3, 0, 0, 0),
		"bad URL":        short(append([]byte{1, 0}, postcard.AppendString(nil, "x")...)...),
		"bad varint":     short(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"custom too big": short(1, 2, 7, 0xff, 0xff, 3, 1),
	} {
		if err := parse("endpoint", b); !errors.Is(err, ErrMalformed) {
			t.Errorf("endpoint ticket, %s: %v", name, err)
		}
	}
}

func FuzzParseBlob(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.String)
	}
	f.Add("blob" + strings.Repeat("a", 120))
	f.Fuzz(func(t *testing.T, s string) {
		tk, err := ParseBlob(s)
		if err != nil {
			if !reflect.DeepEqual(tk, Blob{}) || !(errors.Is(err, ErrMalformed) || errors.Is(err, ErrKind) || errors.Is(err, ErrTooOld)) {
				t.Errorf("%q: %+v, %v", s, tk, err)
			}
			return
		}
		text := tk.String()
		again, err := ParseBlob(text)
		if err != nil || again.String() != text || again.Hash != tk.Hash || again.Addr.ID != tk.Addr.ID {
			t.Errorf("%q is written as %q, which gives %+v, %v", s, text, again, err)
		}
	})
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.String)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tk, err := ParseEndpoint(s)
		if err != nil {
			if !reflect.DeepEqual(tk, Endpoint{}) || !(errors.Is(err, ErrMalformed) || errors.Is(err, ErrKind) || errors.Is(err, ErrTooOld)) {
				t.Errorf("%q: %+v, %v", s, tk, err)
			}
			return
		}
		text := tk.String()
		if again, err := ParseEndpoint(text); err != nil || again.String() != text {
			t.Errorf("%q is written as %q, which gives %+v, %v", s, text, again, err)
		}
	})
}
