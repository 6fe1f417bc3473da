package rpktls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

func TestHandshake(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		for _, limited := range []string{"client", "server"} {
			t.Run(tls.CipherSuiteName(suite)+"/"+limited, func(t *testing.T) {
				client, server := newPair()
				if limited == "client" {
					client.conn.suites = []uint16{suite}
				} else {
					server.conn.suites = []uint16{suite}
				}
				if err := handshake(client, server, nil); err != nil {
					t.Fatal(err)
				}
				checkPair(t, client, server)
				if client.suite != suite {
					t.Errorf("suite %s", tls.CipherSuiteName(client.suite))
				}
				if got := string(server.params); got != "client parameters" {
					t.Errorf("server saw parameters %q", got)
				}
				if got := string(client.params); got != "server parameters" {
					t.Errorf("client saw parameters %q", got)
				}
				size := 32
				if suite == tls.TLS_AES_256_GCM_SHA384 {
					size = 48
				}
				if n := len(client.read[tls.QUICEncryptionLevelApplication]); n != size {
					t.Errorf("secrets of %d bytes", n)
				}
			})
		}
	}
}

func TestChooseSuite(t *testing.T) {
	aes128, aes256, chacha := tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256
	all := []uint16{aes128, aes256, chacha}
	for _, c := range []struct {
		ours, offered []uint16
		want          uint16
	}{
		{all, []uint16{aes256, aes128, chacha}, aes128},
		{all, []uint16{chacha, aes128}, chacha}, // a client without AES instructions
		{[]uint16{chacha, aes128, aes256}, []uint16{aes128, chacha}, chacha},
		{[]uint16{aes128, aes256}, []uint16{chacha, aes256}, aes256}, // FIPS 140
		{all, []uint16{0x0a0a, 0x1304, 0x00ff}, 0},
	} {
		if got := chooseSuite(c.ours, c.offered); got != c.want {
			t.Errorf("chooseSuite(%x, %x) = %x, want %x", c.ours, c.offered, got, c.want)
		}
	}
	if got := preferredSuites(); len(got) < 2 {
		t.Errorf("preferred suites %x", got)
	}
}

// TestLateTransportParameters: both sides ask for their parameters when they need them, as quic-go's server lets them.
func TestLateTransportParameters(t *testing.T) {
	client, server := newSide(Client(clientConfig())), newSide(Server(serverConfig()))
	if err := handshake(client, server, nil); err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
	if string(client.params) != "late parameters" || string(server.params) != "late parameters" {
		t.Errorf("parameters %q, %q", client.params, server.params)
	}
	for _, s := range []*side{client, server} {
		if !slices.Contains(s.kinds, tls.QUICTransportParametersRequired) {
			t.Errorf("events %v", s.kinds)
		}
	}
}

// TestDataWhileParametersAreMissing: a server that waits for its own parameters keeps what arrives meanwhile.
func TestDataWhileParametersAreMissing(t *testing.T) {
	client, server := newPair()
	server.conn.params = nil
	if err := errors.Join(client.start(), server.start()); err != nil {
		t.Fatal(err)
	}
	hello := client.take()[0]
	if err := server.conn.HandleData(hello.level, hello.data); err != nil {
		t.Fatal(err)
	}
	if err := server.conn.HandleData(tls.QUICEncryptionLevelHandshake, []byte{byte(wire.TypeCertificate), 0}); err != nil {
		t.Fatal(err)
	}
	if err := server.drain(); err != nil { // sets the parameters
		t.Fatal(err)
	}
	if got := string(server.conn.in); got != "\x0b\x00" {
		t.Errorf("kept %x", got)
	}
	// The same, with a message that must not come: the error shows as an event, for SetTransportParameters has none.
	client, server = newPair()
	server.conn.params = nil
	if err := errors.Join(client.start(), server.start()); err != nil {
		t.Fatal(err)
	}
	hello = client.take()[0]
	if err := server.conn.HandleData(hello.level, hello.data); err != nil {
		t.Fatal(err)
	}
	if err := server.conn.HandleData(tls.QUICEncryptionLevelHandshake, []byte{byte(wire.TypeFinished)}); err != nil {
		t.Fatal(err)
	}
	if err := server.drain(); alertOf(err) != 10 {
		t.Errorf("early Finished: %v", err)
	}
}

func TestParametersMayBeEmpty(t *testing.T) {
	client, server := newSide(Client(clientConfig())), newSide(Server(serverConfig()))
	client.conn.SetTransportParameters(nil)
	server.conn.SetTransportParameters([]byte{})
	if err := handshake(client, server, nil); err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
	if len(client.params) != 0 || slices.Contains(client.kinds, tls.QUICTransportParametersRequired) {
		t.Errorf("parameters %q, events %v", client.params, client.kinds)
	}
}

func TestServerNameAndUnknownExtensionsAreIgnored(t *testing.T) {
	client, server := newPair()
	if err := client.start(); err != nil {
		t.Fatal(err)
	}
	client.conn.hello.Extensions = append(client.conn.hello.Extensions,
		wire.Extension{Type: wire.ExtServerName, Data: []byte("\x00\x0e\x00\x00\x0bexample.com")},
		wire.Extension{Type: 0x0a0a}, wire.Extension{Type: 0xfe0d, Data: []byte("?")},
		wire.Extension{Type: wire.ExtPSKModes, Data: []byte{1, 1}},
		wire.Extension{Type: wire.ExtEarlyData},
		wire.Extension{Type: wire.ExtPreSharedKey, Data: []byte("a ticket from the owner of this key before us")})
	raw, err := client.conn.hello.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.conn.firstHello = raw
	client.take()
	client.out = []chunk{{tls.QUICEncryptionLevelInitial, raw}}
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	if err := exchange(client, server, nil); err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
	if server.conn.ConnectionState().ServerName != "" {
		t.Error("server_name was not ignored")
	}
}

func TestServerMayExpectAPeer(t *testing.T) {
	client, server := newPair()
	id := seedKey(2).ID()
	server.conn.config.PeerID = &id
	if err := handshake(client, server, nil); err != nil {
		t.Fatal(err)
	}
	client, server = newPair()
	id = seedKey(3).ID()
	server.conn.config.PeerID = &id
	if err := handshake(client, server, nil); !errors.Is(err, ErrPeerMismatch) || server.done {
		t.Errorf("another client: %v", err)
	}
}

// TestConcurrentConnectionState: the application asks while the QUIC connection works. It is for the race detector.
func TestConcurrentConnectionState(t *testing.T) {
	client, server := newPair()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, s := range []*side{client, server} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = s.conn.ConnectionState()
				}
			}
		})
	}
	err := handshake(client, server, nil)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
}

// TestSplitAndJoined: the same handshake comes out when every flight is cut in two at each offset, or byte by byte.
func TestSplitAndJoined(t *testing.T) { eachShape(t, testSplitAndJoined) }

func testSplitAndJoined(t *testing.T, s shape) {
	longest := 0
	for cut := 0; cut <= longest+1; cut++ {
		client, server := s.pair()
		flights := 0
		err := handshake(client, server, func(toServer bool, c chunk) []chunk {
			flights++
			longest = max(longest, len(c.data))
			if cut == 0 { // byte by byte
				var list []chunk
				for i := range c.data {
					list = append(list, chunk{c.level, c.data[i : i+1]})
				}
				return list
			}
			if cut >= len(c.data) {
				return []chunk{c}
			}
			return []chunk{{c.level, c.data[:cut]}, {c.level, nil}, {c.level, c.data[cut:]}}
		})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		checkPair(t, client, server)
		if flights != s.flights {
			t.Fatalf("cut at %d: %d flights", cut, flights)
		}
	}
	if longest < 230 {
		t.Errorf("longest flight had %d bytes", longest)
	}
}

// TestDataIsNotKept: the caller may reuse its buffer.
func TestDataIsNotKept(t *testing.T) {
	client, server := newPair()
	err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		to := client
		if toServer {
			to = server
		}
		for i := range c.data {
			one := []byte{c.data[i]}
			if err := to.conn.HandleData(c.level, one); err != nil {
				t.Fatal(err)
			}
			one[0] ^= 0xff
		}
		if err := to.drain(); err != nil {
			t.Fatal(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
}

// TestEventDataIsTheCallers: quic-go keeps a flight after the next event; crypto/tls lets it, and so must this.
func TestEventDataIsTheCallers(t *testing.T) {
	client, server := newPair()
	type copied struct{ event, copy []byte }
	var seen []copied
	err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		seen = append(seen, copied{c.data, bytes.Clone(c.data)})
		return []chunk{c}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*side{client, server} {
		for _, secrets := range []map[tls.QUICEncryptionLevel][]byte{s.read, s.write} {
			for level, secret := range secrets {
				if bytes.Equal(secret, make([]byte, len(secret))) {
					t.Errorf("%v secret was wiped in the caller's hands", level)
				}
			}
		}
	}
	for _, s := range seen {
		if !bytes.Equal(s.event, s.copy) {
			t.Error("event data changed later")
		}
	}
}

func TestRandomIsTheOnlySourceOfChange(t *testing.T) {
	run := func() []string {
		client, server := newPair()
		client.conn.config.Rand = strings.NewReader(strings.Repeat("c", 64))
		server.conn.config.Rand = strings.NewReader(strings.Repeat("s", 64))
		var log []string
		if err := handshake(client, server, func(toServer bool, c chunk) []chunk {
			log = append(log, fmt.Sprintf("%v %v %x", toServer, c.level, c.data))
			return []chunk{c}
		}); err != nil {
			t.Fatal(err)
		}
		return log
	}
	if first, second := run(), run(); !slices.Equal(first, second) {
		t.Error("two handshakes from the same randomness differ")
	}
}

// BenchmarkHandshake is both sides of a handshake: two key pairs, two shared secrets, two signatures made and two
// verified, four keys checked.
func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		client, server := newPair()
		if err := handshake(client, server, nil); err != nil {
			b.Fatal(err)
		}
	}
}
