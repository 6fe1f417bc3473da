package relay

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

func TestProofsAreThoseOfIroh(t *testing.T) {
	data, err := os.ReadFile("internal/wire/testdata/relay.json")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]string
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	raw := func(name string) []byte {
		b, err := hex.DecodeString(v[name])
		if err != nil || len(b) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		return b
	}
	k := key.SecretKeyFromSeed([32]byte(raw("secret_key_hex")))
	auth := wire.AppendAuth(nil, answer(k, [16]byte(raw("challenge_hex"))))
	if hex.EncodeToString(auth) != v["client_auth_frame"] {
		t.Errorf("auth %x", auth)
	}
	if h := header(k, [32]byte(raw("exported_keying_material_example_hex"))); h != v[authHeader] {
		t.Errorf("header %s", h)
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]string{
		"https://relay.example":                "https://relay.example/",
		"https://Relay.Example./":              "https://relay.example./",
		"https://relay.example:443/":           "https://relay.example/",
		"http://relay.example:80":              "http://relay.example/",
		"https://relay.example:80":             "https://relay.example:80/",
		"http://127.0.0.1:3340":                "http://127.0.0.1:3340/",
		"http://[::1]:3340/":                   "http://[::1]:3340/",
		"http://[::1]:80/":                     "http://[::1]/",
		"ftp://relay.example/":                 "",
		"relay.example":                        "",
		"https://":                             "",
		"https://user@relay.example/":          "",
		"https://relay.example/?token=x":       "",
		"https://relay.example/#x":             "",
		"https://relay.example/\nx":            "",
		"https://[fe80::1%25eth0]/":            "",
		"http://[::%25\x85]":                   "",
		"https://\xe9.example/":                "",
		"https://" + strings.Repeat("é", 700):  "",
		"https://relay.example:x/":             "",
		"https://" + strings.Repeat("a", 3000): "",
		"":                                     "",
	} {
		u, err := ParseURL(text)
		if (err == nil) != (want != "") || u.String() != want {
			t.Errorf("%.50q: %q, %v", text, u, err)
		}
		if again, err := ParseURL(u.String()); want != "" && (err != nil || again != u) {
			t.Errorf("%q is read as %q, %v", u, again, err)
		}
	}
	m, err := ParseMap("https://a", "https://A:443/", "https://b")
	if err != nil || len(m) != 2 {
		t.Errorf("%v, %v", m, err)
	}
	for _, n := range Public() {
		if again, err := ParseNode(n.String()); err != nil || again != n || n.QAD() != DefaultQADPort {
			t.Errorf("%s is not in normal form", n)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("https://euc1-1.relay.n0.iroh.link./")
	for _, s := range []string{
		"http://[::1]:80/", "https://Relay.Example./", "https://relay.example:443/", "http://127.0.0.1:3340", "ftp://relay.example/",
		"https://user@relay.example/", "https://relay.example/?token=x", "https://relay.example/#x", "https://[fe80::1%25eth0]/",
		"https://b\u00fccher.example/", "https://a%2fb/", "//relay.example", "https:relay.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			return
		}
		if again, err := ParseURL(u.String()); err != nil || again != u {
			t.Errorf("%q became %q, then %q, %v", s, u, again, err)
		}
		if address, host, _ := u.place(); address == "" || host == "" {
			t.Errorf("%q is nowhere", s)
		}
	})
}

func FuzzParseNode(f *testing.F) {
	for _, n := range Public() {
		f.Add(n.String())
	}
	for _, s := range []string{"https://a qad=off", "https://a qad=7842", "https://a  qad=1 ", "https://a qad=0", "https://a qad=65536", "https://a x", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNode(s)
		if err != nil {
			if !errors.Is(err, ErrURL) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if again, err := ParseNode(n.String()); err != nil || again != n {
			t.Errorf("%q became %+v, then %+v, %v", s, n, again, err)
		}
		if q := n.QAD(); q == 0 && n.QADPort > 0 {
			t.Errorf("%q: address discovery at port %d", s, q)
		}
	})
}

func TestNearest(t *testing.T) {
	a, b, c := URL{"https://a/"}, URL{"https://b/"}, URL{"https://c/"}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, x := range []struct {
		name  string
		found []Latency
		home  URL
		want  URL
	}{
		{"none", nil, URL{}, URL{}},
		{"none answers", []Latency{{URL: a, Err: os.ErrDeadlineExceeded}}, a, URL{}},
		{"the closest", []Latency{{URL: a, Value: ms(30)}, {URL: b, Value: ms(20)}, {URL: c, Err: os.ErrDeadlineExceeded}}, URL{}, b},
		{"home is nearly as close", []Latency{{URL: a, Value: ms(30)}, {URL: b, Value: ms(21)}}, a, a},
		{"home is far", []Latency{{URL: a, Value: ms(31)}, {URL: b, Value: ms(20)}}, a, b},
		{"home is away", []Latency{{URL: a, Err: os.ErrDeadlineExceeded}, {URL: b, Value: ms(20)}}, a, b},
	} {
		if got := Nearest(slices.Clone(x.found), x.home); got != x.want {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{URL: mustURL(t, "https://a"), SecretKey: secret(t), Receive: func(*Received) {}}
	for name, spoil := range map[string]func(*Config){
		"url": func(c *Config) { c.URL = URL{} }, "key": func(c *Config) { c.SecretKey = key.SecretKey{} },
		"receive": func(c *Config) { c.Receive = nil },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("taken without %s", name)
		}
	}
}
