package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

func signed(t testing.TB, k key.SecretKey, micros uint64) pkarr.Packet {
	t.Helper()
	p, err := pkarr.Sign(k, sample(k), micros, 30)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A server may send what it likes: nothing but the endpoint's own packet is taken.
func TestHostileRelay(t *testing.T) {
	k, other := key.SecretKeyFromSeed([32]byte{1}), key.SecretKeyFromSeed([32]byte{2})
	damaged := signed(t, k, 1).Payload()
	damaged[0] ^= 1
	send := func(status int, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); w.Write(body) }
	}
	strange := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer strange.Close()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    error
		text    string
	}{
		"another key's packet": {send(200, signed(t, other, 1).Payload()), pkarr.ErrSignature, ""},
		"damaged":              {send(200, damaged), pkarr.ErrSignature, ""},
		"with the key":         {send(200, signed(t, k, 1).Bytes()), pkarr.ErrSignature, ""},
		"nothing":              {send(200, nil), pkarr.ErrPacket, ""},
		"oversized":            {send(200, make([]byte, 1<<20)), pkarr.ErrPacket, ""},
		"unknown":              {send(404, []byte("no")), discovery.ErrNotFound, ""},
		"error":                {send(500, bytes.Repeat([]byte("\x1b[2J"), 1000)), nil, `status 500, "\x1b[2J`},
		"elsewhere":            {http.RedirectHandler(strange.URL, http.StatusFound).ServeHTTP, nil, "status 302"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			w.Write([]byte("short"))
		}, io.ErrUnexpectedEOF, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			p := newRelay(t, discovery.PkarrConfig{URL: server.URL + "/pkarr", SecretKey: k, Client: server.Client()})
			_, err := p.Resolve(t.Context(), k.ID())
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || len(err.Error()) > 1500 {
				t.Errorf("got %v, want %v %s", err, test.want, test.text)
			}
		})
	}
}

// store is a pkarr relay that keeps the last packet, newest or not.
type store struct {
	payload []byte
	puts    int
	fail    bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.fail:
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case r.Method == http.MethodPut:
		s.payload, _ = io.ReadAll(r.Body)
		s.puts++
		w.WriteHeader(http.StatusNoContent)
	case s.payload == nil:
		http.NotFound(w, r)
	default:
		w.Write(s.payload)
	}
}

func TestTimestampsRise(t *testing.T) {
	k := key.SecretKeyFromSeed([32]byte{1})
	s := &store{}
	server := httptest.NewServer(s)
	defer server.Close()
	p := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Client: server.Client()})
	var last uint64
	for i := range 50 {
		// Another instance with the same key, whose clock is ahead, gets in between and the relay refuses once.
		if i == 20 {
			last = uint64(time.Now().Add(time.Hour).UnixMicro())
			s.payload, s.fail = signed(t, k, last).Payload(), true
			if err := p.Publish(t.Context(), sample(k)); err == nil || !strings.Contains(err.Error(), "429") {
				t.Errorf("refused with %v", err)
			}
			s.fail = false
		}
		if err := p.Publish(t.Context(), sample(k)); err != nil {
			t.Fatal(err)
		}
		packet, err := pkarr.ParsePayload(k.ID(), s.payload)
		if err != nil || packet.Micros() <= last {
			t.Fatalf("timestamp %d after %d, %v", packet.Micros(), last, err)
		}
		last = packet.Micros()
	}
	if s.puts != 50 {
		t.Errorf("%d packets stored", s.puts)
	}
	// What the relay holds is damaged or not ours: there is nothing to exceed.
	s.payload = []byte("nonsense")
	if err := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Client: server.Client()}).Publish(t.Context(), sample(k)); err != nil {
		t.Error(err)
	}
	s.payload = signed(t, k, math.MaxUint64).Payload()
	if err := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Client: server.Client()}).Publish(t.Context(), sample(k)); err == nil {
		t.Error("a packet that cannot replace the stored one was published")
	}
}

func TestAddressesThatDoNotFitAreLeftOut(t *testing.T) {
	k := key.SecretKeyFromSeed([32]byte{1})
	s := &store{}
	server := httptest.NewServer(s)
	defer server.Close()
	r := sample(k)
	for i := range byte(record.MaxDirect - 2) {
		ip := netip.AddrFrom16([16]byte{0x20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, i + 16})
		r.Addr.Direct = append(r.Addr.Direct, netip.AddrPortFrom(ip, 65535))
	}
	all := len(r.Addr.Direct)
	p := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Direct: true, Client: server.Client()})
	if err := p.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	packet, err := p.Get(t.Context(), k.ID())
	got := packet.Record()
	n := len(got.Addr.Direct)
	if err != nil || n < 10 || n == all || len(packet.Payload()) < pkarr.MaxPayload-60 || len(r.Addr.Direct) != all {
		t.Errorf("%d of %d addresses in %d bytes, %v", n, all, len(packet.Payload()), err)
	}
	if r.Addr.Direct = r.Addr.Direct[:n]; !got.Equal(r) {
		t.Errorf("published %+v", got)
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	for _, url := range []string{"", "dns.iroh.link/pkarr", "ftp://dns.iroh.link/", "https://", "%"} {
		if _, err := discovery.NewPkarrRelay(discovery.PkarrConfig{URL: url}); err == nil {
			t.Errorf("pkarr relay %q was taken", url)
		}
	}
	if _, err := discovery.NewPkarrRelay(discovery.PkarrConfig{URL: discovery.N0PkarrRelay, TTL: -time.Second}); err == nil {
		t.Error("a negative TTL was taken")
	}
	p := newRelay(t, discovery.PkarrConfig{URL: "http://127.0.0.1:9"})
	if err := p.Publish(t.Context(), sample(key.SecretKeyFromSeed([32]byte{1}))); err == nil {
		t.Error("published without a key")
	}
	for _, origin := range []string{"", "a..b", "a b", "a b..c", "http://a", "a/b", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 200)} {
		if _, err := discovery.NewDNS(discovery.DNSConfig{Origin: origin}); err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("origin %q was taken, or %v", origin, err)
		}
	}
	for _, origin := range []string{".", "a", "A.b.", ".a_1.b-2"} {
		if _, err := discovery.NewDNS(discovery.DNSConfig{Origin: origin}); err != nil {
			t.Error(err)
		}
	}
	if _, err := discovery.NewDNS(discovery.DNSConfig{Origin: "a", Servers: []netip.AddrPort{{}}}); err == nil {
		t.Error("a name server without an address was taken")
	}
}

// nameserver answers every query on a UDP socket with what reply returns; nil is no answer.
func nameserver(t *testing.T, reply func(query dnsmessage.Message) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, b := range reply(q) {
				conn.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

func respond(t *testing.T, q dnsmessage.Message, code dnsmessage.RCode, texts ...[]string) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RCode: code}, Questions: q.Questions}
	for _, text := range texts {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 30},
			Body:   &dnsmessage.TXTResource{TXT: text},
		})
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestHostileNameServers(t *testing.T) {
	peer := id(1)
	good := []string{"addr=192.0.2.1:1"}
	for name, test := range map[string]struct {
		reply func(n int, q dnsmessage.Message) [][]byte
		want  string
	}{
		"an answer": {func(_ int, q dnsmessage.Message) [][]byte {
			if q.Questions[0].Name.String() != "_iroh."+peer.Z32()+".example.org." || q.Questions[0].Type != dnsmessage.TypeTXT {
				t.Errorf("asked for %v", q.Questions[0])
			}
			return [][]byte{respond(t, q, 0, []string{"addr=192.0", ".2.1:1"}, []string{"later=x"})}
		}, "[192.0.2.1:1]"},
		"the first queries get lost": {func(n int, q dnsmessage.Message) [][]byte {
			if n < 2 {
				return nil
			}
			return [][]byte{respond(t, q, 0, good)}
		}, "[192.0.2.1:1]"},
		"a failure, then an answer": {func(n int, q dnsmessage.Message) [][]byte {
			if n < 4 {
				return [][]byte{respond(t, q, dnsmessage.RCodeServerFailure)}
			}
			return [][]byte{respond(t, q, 0, good)}
		}, "[192.0.2.1:1]"},
		"forged answers before the real one": {func(_ int, q dnsmessage.Message) [][]byte {
			forged, other := q, q
			forged.ID++
			other.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other.example.org."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}}
			bad := []string{"addr=192.0.2.66:1"}
			return [][]byte{respond(t, forged, 0, bad), respond(t, other, 0, bad), respond(t, q, 0, good)}
		}, "[192.0.2.1:1]"},
		"no such name": {func(_ int, q dnsmessage.Message) [][]byte {
			return [][]byte{respond(t, q, dnsmessage.RCodeNameError)}
		}, "none"},
		"no address": {func(_ int, q dnsmessage.Message) [][]byte {
			return [][]byte{respond(t, q, 0, []string{"v=spf1 -all"}, []string{"addr=0.0.0.0:0"})}
		}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			// Those that got no answer do not hold up the one that did; a machine that is busy may, but not every time.
			took := time.Hour
			for tries := 0; took > 2500*time.Millisecond && tries < 5; tries++ {
				asked := 0
				server := nameserver(t, func(q dnsmessage.Message) [][]byte { asked++; return test.reply(asked-1, q) })
				start := time.Now()
				r, err := newDNS(t, "example.org", server).Resolve(t.Context(), peer)
				took = time.Since(start)
				got := fmt.Sprint(r.Addr.Direct)
				if errors.Is(err, discovery.ErrNotFound) {
					got = "none"
				} else if err != nil {
					got = err.Error()
				}
				if got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
			if took > 2500*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestSilentNameServer(t *testing.T) {
	server := nameserver(t, func(dnsmessage.Message) [][]byte { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	r, err := newDNS(t, "example.org", server).Resolve(ctx, id(1))
	if err == nil || errors.Is(err, discovery.ErrNotFound) || time.Since(start) > 5*time.Second {
		t.Errorf("%+v, %v after %s", r, err, time.Since(start))
	}
	// A name server that cannot be asked is named, and not the one that the system has.
	closed := netip.MustParseAddrPort("127.0.0.1:9")
	if _, err := newDNS(t, "example.org", closed).Resolve(t.Context(), id(1)); err == nil || !strings.Contains(err.Error(), " on "+closed.String()) {
		t.Errorf("of %s it says %v", closed, err)
	}
}

// While name servers are silent, many lookups must not use up the file descriptors.
func TestSilentNameServersCostFewSockets(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("this system does not tell the open files: %v", err)
		}
		return len(list)
	}
	before, most := open(), 0
	d := newDNS(t, "example.org", nameserver(t, func(dnsmessage.Message) [][]byte { return nil }))
	ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
	defer cancel()
	peer := id(1)
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() { d.Resolve(ctx, peer) })
	}
	for ctx.Err() == nil {
		most = max(most, open()-before)
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	if most < 20 || most > 64+10 {
		t.Errorf("%d sockets", most)
	}
}

func FuzzRelayBody(f *testing.F) {
	k := key.SecretKeyFromSeed([32]byte{1})
	f.Add(signed(f, k, 1).Payload())
	f.Add(signed(f, key.SecretKeyFromSeed([32]byte{2}), 1).Payload())
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		client := &http.Client{Transport: answer(body)}
		p, err := discovery.NewPkarrRelay(discovery.PkarrConfig{URL: "http://127.0.0.1:9", Client: client})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Resolve(t.Context(), k.ID())
		if err == nil && !r.Equal(sample(k)) {
			t.Fatalf("forged: %+v", r)
		}
	})
}

// answer is a transport that answers every request with the same body.
type answer []byte

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a))}, nil
}
