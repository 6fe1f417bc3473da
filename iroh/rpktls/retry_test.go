package rpktls

import (
	"bytes"
	"crypto/tls"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

const groupP256 = 0x0017

// p256Hello turns a started client's hello into that of a client which prefers P-256: it supports X25519 but sends a
// share of P-256 only, or none at all.
func p256Hello(t *testing.T, client *side, withShare bool) []byte {
	t.Helper()
	hello := client.conn.hello
	wire.Find(hello.Extensions, wire.ExtSupportedGroups).Data = []byte{0, 4, 0, groupP256, 0, 0x1d}
	shares := []byte{0, 0}
	if withShare {
		shares = append([]byte{0, 69, 0, groupP256, 0, 65, 4}, make([]byte, 64)...)
	}
	wire.Find(hello.Extensions, wire.ExtKeyShare).Data = shares
	raw, err := hello.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// x25519Shares is a key_share with one X25519 share.
func x25519Shares(share []byte) []byte { return append([]byte{0, 36, 0, 0x1d, 0, 32}, share...) }

// askedToRetry brings a server to the point where it sent a HelloRetryRequest, and returns that.
func askedToRetry(t *testing.T, client, server *side, first []byte) *wire.ServerHello {
	t.Helper()
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	if err := server.handle(tls.QUICEncryptionLevelInitial, first); err != nil {
		t.Fatal(err)
	}
	out := server.take()
	if len(out) != 1 || out[0].level != tls.QUICEncryptionLevelInitial ||
		!slices.Equal(server.kinds, []tls.QUICEventKind{tls.QUICWriteData}) {
		t.Fatalf("not a HelloRetryRequest alone: %v, events %v", out, server.kinds)
	}
	retry, err := wire.ParseServerHello(out[0].data[wire.HeaderSize:])
	if err != nil || !retry.IsRetry || retry.RetryGroup != wire.GroupX25519 || retry.Version != wire.VersionTLS13 || retry.Cookie != nil {
		t.Fatalf("HelloRetryRequest %+v, %v", retry, err)
	}
	// The client's transcript now begins with the hash of its first hello.
	c := client.conn
	if c.keys, err = newSchedule(retry.Suite); err != nil {
		t.Fatal(err)
	}
	c.keys.write(first)
	c.keys.retry()
	c.keys.write(out[0].data)
	c.retried, c.firstHello = true, nil
	return retry
}

// TestServerAsksForX25519: the whole handshake with a client whose first hello has no X25519 share.
func TestServerAsksForX25519(t *testing.T) {
	for _, withShare := range []bool{true, false} {
		client, server := newPair()
		if err := client.start(); err != nil {
			t.Fatal(err)
		}
		client.take()
		askedToRetry(t, client, server, p256Hello(t, client, withShare))
		hello := client.conn.hello
		wire.Find(hello.Extensions, wire.ExtKeyShare).Data = x25519Shares(client.conn.ephemeral.PublicKey().Bytes())
		second, err := hello.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		client.conn.keys.write(second)
		client.out = []chunk{{tls.QUICEncryptionLevelInitial, second}}
		if err := exchange(client, server, nil); err != nil {
			t.Fatal(err)
		}
		checkPair(t, client, server)
	}
}

// TestSecondClientHello: what the answer to a HelloRetryRequest may change, and what not.
func TestSecondClientHello(t *testing.T) {
	share := func(h *wire.ClientHello) *wire.Extension { return wire.Find(h.Extensions, wire.ExtKeyShare) }
	add := func(typ uint16, data string) func(*wire.ClientHello) {
		return func(h *wire.ClientHello) {
			h.Extensions = append(h.Extensions, wire.Extension{Type: typ, Data: []byte(data)})
		}
	}
	for name, c := range map[string]struct {
		change func(h *wire.ClientHello)
		alert  int
	}{
		"as asked":       {func(h *wire.ClientHello) {}, -1},
		"other order":    {func(h *wire.ClientHello) { slices.Reverse(h.Extensions) }, -1},
		"padding":        {add(wire.ExtPadding, "\x00\x00\x00"), -1},
		"no share still": {func(h *wire.ClientHello) { share(h).Data = []byte{0, 0} }, 47},
		"P-256 share": {func(h *wire.ClientHello) {
			share(h).Data = append([]byte{0, 69, 0, groupP256, 0, 65}, make([]byte, 65)...)
		}, 47},
		"another share as well": {func(h *wire.ClientHello) {
			share(h).Data = append(append([]byte{0, 41}, share(h).Data[2:]...), 0, groupP256, 0, 1, 4)
		}, 47},
		"other random": {func(h *wire.ClientHello) { h.Random = make([]byte, 32) }, 47},
		"other suites": {func(h *wire.ClientHello) { h.Suites = h.Suites[:1] }, 47},
		"other groups": {func(h *wire.ClientHello) {
			wire.Find(h.Extensions, wire.ExtSupportedGroups).Data = []byte{0, 2, 0, 0x1d}
		}, 47},
		"other parameters":   {func(h *wire.ClientHello) { wire.Find(h.Extensions, wire.ExtTransportParameters).Data = []byte{1} }, 47},
		"another extension":  {add(0x0a0a, ""), 47},
		"one extension less": {func(h *wire.ClientHello) { h.Extensions = h.Extensions[1:] }, 70}, // it is supported_versions
		"cookie":             {add(wire.ExtCookie, "\x00\x01c"), 47},
		"early data": {func(h *wire.ClientHello) {
			add(wire.ExtPSKModes, "\x01\x01")(h)
			add(wire.ExtEarlyData, "")(h)
			add(wire.ExtPreSharedKey, "k")(h)
		}, 47},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := newPair()
			if err := client.start(); err != nil {
				t.Fatal(err)
			}
			client.take()
			askedToRetry(t, client, server, p256Hello(t, client, true))
			share(client.conn.hello).Data = x25519Shares(client.conn.ephemeral.PublicKey().Bytes())
			c.change(client.conn.hello)
			second, err := client.conn.hello.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			client.conn.keys.write(second)
			client.out = []chunk{{tls.QUICEncryptionLevelInitial, second}}
			if err := exchange(client, server, nil); alertOf(err) != c.alert {
				t.Fatalf("alert %d, want %d: %v", alertOf(err), c.alert, err)
			}
			if server.done != (c.alert == -1) {
				t.Errorf("server complete: %v", server.done)
			}
		})
	}
}

// TestRetryWaitsForTheClient: data right behind a ClientHello that needs a retry was written without having seen it.
func TestRetryWaitsForTheClient(t *testing.T) {
	client, server := newPair()
	if err := client.start(); err != nil {
		t.Fatal(err)
	}
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	first := p256Hello(t, client, true)
	if err := server.handle(tls.QUICEncryptionLevelInitial, append(first, 1)); alertOf(err) != 10 {
		t.Errorf("hello and a byte: %v", err)
	}
}

// retryRequest is a HelloRetryRequest with the given extensions.
func retryRequest(t *testing.T, suite uint16, extensions ...wire.Extension) []byte {
	t.Helper()
	m := wire.NewHelloRetryRequest(suite)
	m.Extensions = append([]wire.Extension{{Type: wire.ExtSupportedVersions, Data: []byte{3, 4}}}, extensions...)
	raw, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestClientReturnsCookie: the whole handshake with a server that sends a cookie first.
func TestClientReturnsCookie(t *testing.T) {
	client, server := newPair()
	if err := client.start(); err != nil {
		t.Fatal(err)
	}
	first := client.take()[0].data
	suite := tls.TLS_AES_256_GCM_SHA384
	cookie := wire.Extension{Type: wire.ExtCookie, Data: []byte("\x00\x06crumbs")}
	retry := retryRequest(t, suite, cookie)
	if err := client.handle(tls.QUICEncryptionLevelInitial, retry); err != nil {
		t.Fatal(err)
	}
	out := client.take()
	if len(out) != 1 || out[0].level != tls.QUICEncryptionLevelInitial {
		t.Fatalf("answer %v", out)
	}
	one, err := wire.ParseClientHello(first[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	two, err := wire.ParseClientHello(out[0].data[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if e := wire.Find(two.Extensions, wire.ExtCookie); e == nil || !bytes.Equal(e.Data, cookie.Data) {
		t.Errorf("cookie %v", e)
	}
	if !two.IsRetryOf(one) || !bytes.Equal(two.Share(wire.GroupX25519), one.Share(wire.GroupX25519)) {
		t.Error("second hello differs in more than the cookie")
	}

	// Our server gives out no cookies, so it is put into the state of one that did.
	s := server.conn
	if s.keys, err = newSchedule(suite); err != nil {
		t.Fatal(err)
	}
	s.keys.write(first)
	s.keys.retry()
	s.keys.write(retry)
	s.keys.write(out[0].data)
	s.hello = two
	s.negotiated(testALPN)
	if err := s.sendServerHello(two.Share(wire.GroupX25519)); err != nil {
		t.Fatal(err)
	}
	if err := server.drain(); err != nil {
		t.Fatal(err)
	}
	if err := exchange(client, server, nil); err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
	if client.suite != suite {
		t.Errorf("suite %x", client.suite)
	}
}

// TestRetryRules: a client's answer to a HelloRetryRequest, and to what follows its second hello.
func TestRetryRules(t *testing.T) {
	const aes128, aes256 = tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384
	cookie := wire.Extension{Type: wire.ExtCookie, Data: []byte("\x00\x01c")}
	group := func(hi, lo byte) wire.Extension { return wire.Extension{Type: wire.ExtKeyShare, Data: []byte{hi, lo}} }
	good := retryRequest(t, aes128, cookie)
	hello := func(suite uint16, extensions ...wire.Extension) []byte {
		m := wire.NewServerHello(bytes.Repeat([]byte{7}, 32), suite, bytes.Repeat([]byte{9}, 32))
		m.Extensions = append(m.Extensions, extensions...)
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		messages [][]byte
		alert    int
	}{
		"group already sent":        {[][]byte{retryRequest(t, aes128, group(0, 0x1d))}, 47},
		"group sent, and cookie":    {[][]byte{retryRequest(t, aes128, group(0, 0x1d), cookie)}, 47},
		"group not offered":         {[][]byte{retryRequest(t, aes128, group(0, groupP256))}, 47},
		"group zero":                {[][]byte{retryRequest(t, aes128, group(0, 0), cookie)}, 47},
		"nothing asked for":         {[][]byte{retryRequest(t, aes128)}, 47},
		"suite not offered":         {[][]byte{retryRequest(t, 0x1304, cookie)}, 47},
		"empty cookie":              {[][]byte{retryRequest(t, aes128, wire.Extension{Type: wire.ExtCookie, Data: []byte{0, 0}})}, 50},
		"cookie with a tail":        {[][]byte{retryRequest(t, aes128, wire.Extension{Type: wire.ExtCookie, Data: []byte("\x00\x01cc")})}, 50},
		"share instead of group":    {[][]byte{retryRequest(t, aes128, wire.Extension{Type: wire.ExtKeyShare, Data: append([]byte{0, 0x1d, 0, 32}, make([]byte, 32)...)})}, 50},
		"unknown extension":         {[][]byte{retryRequest(t, aes128, cookie, wire.Extension{Type: 0x0a0a})}, 110},
		"pre_shared_key":            {[][]byte{retryRequest(t, aes128, cookie, wire.Extension{Type: wire.ExtPreSharedKey, Data: []byte{0, 0}})}, 47},
		"ALPN":                      {[][]byte{retryRequest(t, aes128, cookie, wire.Extension{Type: wire.ExtALPN, Data: []byte{0, 2, 1, 'x'}})}, 47},
		"huge cookie":               {[][]byte{retryRequest(t, aes128, wire.Extension{Type: wire.ExtCookie, Data: append([]byte{0x3f, 0xa0}, make([]byte, 0x3fa0)...)})}, 47},
		"a byte behind":             {[][]byte{append(bytes.Clone(good), 2)}, 10},
		"twice":                     {[][]byte{good, good}, 10},
		"then another suite":        {[][]byte{good, hello(aes256)}, 47},
		"then a cookie":             {[][]byte{good, hello(aes128, cookie)}, 47},
		"then a fair ServerHello":   {[][]byte{good, hello(aes128)}, -1},
		"then EncryptedExtensions":  {[][]byte{good, message(wire.TypeEncryptedExtensions, []byte{0, 0})}, 10},
		"retry after a ServerHello": {[][]byte{hello(aes128), good}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := newPair()
			err := client.start()
			for i, m := range c.messages {
				if err != nil {
					t.Fatalf("before message %d: %v", i, err)
				}
				err = client.handle(client.conn.readLevel, m)
			}
			if alertOf(err) != c.alert {
				t.Errorf("alert %d, want %d: %v", alertOf(err), c.alert, err)
			}
		})
	}
}

// TestRetryOfRustls: the two hellos of rustls 0.23.46 that prefers P-256, recorded while it completed a handshake with
// our server.
func TestRetryOfRustls(t *testing.T) {
	text, err := os.ReadFile("testdata/rustls_retry.hex")
	if err != nil {
		t.Fatal(err)
	}
	hellos := strings.Fields(string(text))
	server := newSide(Server(serverConfig()))
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	if err := server.handle(tls.QUICEncryptionLevelInitial, unhex(t, hellos[0])); err != nil {
		t.Fatal(err)
	}
	out := server.take()
	if m, err := wire.ParseServerHello(out[0].data[wire.HeaderSize:]); err != nil || !m.IsRetry || len(out) != 1 {
		t.Fatalf("answer to the first: %+v, %v", m, err)
	}
	if err := server.handle(tls.QUICEncryptionLevelInitial, unhex(t, hellos[1])); err != nil {
		t.Fatal(err)
	}
	out = server.take()
	if m, err := wire.ParseServerHello(out[0].data[wire.HeaderSize:]); err != nil || m.IsRetry || len(out) != 2 {
		t.Fatalf("answer to the second: %+v, %v", m, err)
	}
	if got := string(server.params); got != "rustls client" {
		t.Errorf("parameters %q", got)
	}
}
