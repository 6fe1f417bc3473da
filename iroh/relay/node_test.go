package relay

import (
	"errors"
	"testing"
)

func TestParseNode(t *testing.T) {
	for text, want := range map[string]struct {
		normal string
		qad    uint16
	}{
		"https://Relay.Example.":            {"https://relay.example./", DefaultQADPort},
		"http://127.0.0.1:3340":             {"http://127.0.0.1:3340/", 0},
		"https://relay.example/ qad=3478":   {"https://relay.example/ qad=3478", 3478},
		"http://relay.example/ qad=1":       {"http://relay.example/ qad=1", 1},
		"https://relay.example/ qad=off":    {"https://relay.example/ qad=off", 0},
		"https://relay.example:8443  qad=9": {"https://relay.example:8443/ qad=9", 9},
	} {
		n, err := ParseNode(text)
		if err != nil || n.String() != want.normal || n.QAD() != want.qad {
			t.Errorf("%q: %q with port %d, %v", text, n, n.QAD(), err)
		}
		if again, err := ParseNode(n.String()); err != nil || again != n {
			t.Errorf("%q: read again it is %v, %v", text, again, err)
		}
	}
	for _, text := range []string{
		"", "relay.example", "https://relay.example/ 7842", "https://relay.example/ qad=0", "https://relay.example/ qad=65536",
		"https://relay.example/ qad=-1", "https://relay.example/ qad=1 qad=2", "https://relay.example/ ", "ftp://relay.example/ qad=1",
	} {
		if n, err := ParseNode(text); !errors.Is(err, ErrURL) || n != (Node{}) {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
}

func TestHostOfAURL(t *testing.T) {
	for text, want := range map[string]struct{ host, ip string }{
		"https://relay.example./":  {"relay.example", "invalid IP"},
		"https://127.0.0.1:443/":   {"127.0.0.1", "127.0.0.1"},
		"http://[::1]:3340/":       {"::1", "::1"},
		"http://[::ffff:1.2.3.4]/": {"::ffff:1.2.3.4", "1.2.3.4"},
	} {
		u := mustURL(t, text)
		if u.Host() != want.host || u.IP().String() != want.ip {
			t.Errorf("%s: host %q, IP %s", text, u.Host(), u.IP())
		}
	}
}
