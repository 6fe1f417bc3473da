package rpktls

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

func TestConnectionState(t *testing.T) {
	client, server := newPair()
	before := func(toServer bool, c chunk) []chunk {
		for _, s := range []*side{client, server} {
			state := s.conn.ConnectionState()
			if !s.done && (state.HandshakeComplete || len(state.PeerCertificates) > 0) {
				t.Error("peer shown before the handshake is complete")
			}
			if _, err := PeerID(state); !s.done && err == nil {
				t.Error("peer id known before the handshake is complete")
			}
		}
		return []chunk{c}
	}
	if err := handshake(client, server, before); err != nil {
		t.Fatal(err)
	}
	state := client.conn.ConnectionState()
	cert := state.PeerCertificates[0]
	id := seedKey(1).ID()
	if public, ok := cert.PublicKey.(ed25519.PublicKey); !ok || !bytes.Equal(public, id[:]) {
		t.Errorf("public key %v", cert.PublicKey)
	}
	if !bytes.Equal(cert.Raw, id.SPKI()) || !bytes.Equal(cert.RawSubjectPublicKeyInfo, id.SPKI()) {
		t.Errorf("raw %x", cert.Raw)
	}
	if state.CurveID != tls.X25519 || !state.HandshakeComplete || state.DidResume || state.ServerName != "" {
		t.Errorf("state %+v", state)
	}
	state.PeerCertificates[0].Raw = []byte("MIIB a certificate")
	if _, err := PeerID(state); err == nil {
		t.Error("PeerID of a certificate")
	}
	if got, err := PeerID(server.conn.ConnectionState()); err != nil || got != seedKey(2).ID() {
		t.Errorf("client is %v, %v", got, err)
	}
}

// TestSecretsAreForgotten: after the handshake, or its failure, a Conn holds no secret and no buffer.
func TestSecretsAreForgotten(t *testing.T) {
	for _, broken := range []bool{false, true} {
		client, server := newPair()
		var secrets [][]byte
		err := handshake(client, server, func(toServer bool, c chunk) []chunk {
			for _, s := range []*side{client, server} {
				secrets = append(secrets, s.conn.clientSecret, s.conn.serverSecret, s.conn.appSecret)
				if s.conn.keys != nil {
					secrets = append(secrets, s.conn.keys.secret)
				}
			}
			if broken && c.level == tls.QUICEncryptionLevelHandshake {
				c.data[len(c.data)-1] ^= 1
			}
			return []chunk{c}
		})
		if (err != nil) != broken {
			t.Fatal(err)
		}
		if broken {
			server.conn.Close()
		}
		for _, secret := range secrets {
			if len(secret) > 0 && !bytes.Equal(secret, make([]byte, len(secret))) {
				t.Error("a secret was not wiped")
			}
		}
		for _, c := range []*Conn{client.conn, server.conn} {
			if c.keys != nil || c.ephemeral != nil || c.hello != nil || c.in != nil || c.firstHello != nil || c.appSecret != nil {
				t.Error("a finished Conn holds on to the handshake")
			}
		}
	}
}

func TestTicketsAreDropped(t *testing.T) {
	client, server := newPair()
	if err := handshake(client, server, nil); err != nil {
		t.Fatal(err)
	}
	events := len(client.kinds)
	ticket := newTicket(200)
	for i := range maxTickets {
		half := len(ticket) / 2
		if err := errors.Join(client.handle(tls.QUICEncryptionLevelApplication, ticket[:half]),
			client.handle(tls.QUICEncryptionLevelApplication, ticket[half:])); err != nil {
			t.Fatalf("ticket %d: %v", i, err)
		}
	}
	if len(client.kinds) != events || len(client.conn.in) != 0 {
		t.Error("tickets left a trace")
	}
	if err := client.handle(tls.QUICEncryptionLevelApplication, ticket); alertOf(err) != 10 {
		t.Errorf("ticket %d: %v", maxTickets+1, err)
	}
}

// newTicket is a NewSessionTicket as rustls sends it, with a ticket of n bytes.
func newTicket(n int) []byte {
	body := append([]byte{0, 1, 0x51, 0x80, 1, 2, 3, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, byte(n >> 8), byte(n)}, make([]byte, n)...)
	body = append(body, 0, 8, 0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff)
	return message(wire.TypeNewSessionTicket, body)
}

// message puts a header before a body.
func message(t wire.Type, body []byte) []byte {
	return append([]byte{byte(t), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestSessionsAreNotOffered(t *testing.T) {
	client, server := newPair()
	if err := handshake(client, server, nil); err != nil {
		t.Fatal(err)
	}
	if err := server.conn.SendSessionTicket(tls.QUICSessionTicketOptions{EarlyData: true}); err != nil {
		t.Errorf("quic-go would close the connection: %v", err)
	}
	if e := server.conn.NextEvent(); e.Kind != tls.QUICNoEvent {
		t.Errorf("event %v, which quic-go would take for a ticket", e.Kind)
	}
	if err := client.conn.StoreSession(nil); alertOf(err) != 80 {
		t.Errorf("StoreSession: %v", err)
	}
}

func TestStartRefuses(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*Config)
		text   string
	}{
		"no key":         {change: func(c *Config) { c.SecretKey = key.SecretKey{} }, text: "no secret key"},
		"no peer":        {change: func(c *Config) { c.PeerID = nil }, text: "no expected peer"},
		"zero peer":      {change: func(c *Config) { c.PeerID = new(key.EndpointID) }, text: "no expected peer"},
		"no protocol":    {change: func(c *Config) { c.ALPN = nil }, text: "no application protocol"},
		"empty protocol": {change: func(c *Config) { c.ALPN = []string{""} }, text: "empty or too long"},
		"long protocol":  {change: func(c *Config) { c.ALPN = []string{strings.Repeat("x", 256)} }, text: "empty or too long"},
		"many protocols": {change: func(c *Config) { c.ALPN = make([]string, maxALPN+1) }, text: "too many"},
		"no randomness":  {change: func(c *Config) { c.Rand = strings.NewReader("short") }, text: "randomness"},
		"half of it":     {change: func(c *Config) { c.Rand = strings.NewReader(strings.Repeat("x", 40)) }, text: "randomness"},
		"canceled":       {ctx: canceled, change: func(*Config) {}, text: "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := clientConfig()
			c.change(cfg)
			conn := Client(cfg)
			conn.SetTransportParameters(nil)
			if c.ctx == nil {
				c.ctx = context.Background()
			}
			err := conn.Start(c.ctx)
			if alertOf(err) != 80 || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("error %v", err)
			}
			if again := conn.Start(context.Background()); again != err {
				t.Errorf("second error %v", again)
			}
			if e := conn.NextEvent(); e.Kind != tls.QUICErrorEvent || e.Err != err {
				t.Errorf("event %v", e)
			}
			if e := conn.NextEvent(); e.Kind != tls.QUICNoEvent {
				t.Errorf("event %v", e)
			}
		})
	}
}

func TestOrderOfCalls(t *testing.T) {
	client, _ := newPair()
	if err := client.conn.HandleData(tls.QUICEncryptionLevelInitial, nil); alertOf(err) != 80 {
		t.Errorf("HandleData before Start: %v", err)
	}
	client, _ = newPair()
	if err := client.start(); err != nil {
		t.Fatal(err)
	}
	if err := client.start(); alertOf(err) != 80 {
		t.Errorf("Start twice: %v", err)
	}
	client, server := newPair()
	server.conn.SetTransportParameters(make([]byte, maxTransportParameters+1))
	if err := handshake(client, server, nil); alertOf(err) != 80 {
		t.Errorf("server's long parameters: %v", err)
	}
	client, server = newPair()
	client.conn.SetTransportParameters(make([]byte, maxTransportParameters+1))
	if err := handshake(client, server, nil); alertOf(err) != 80 {
		t.Errorf("client's long parameters: %v", err)
	}
	client, server = newPair()
	server.conn.SetTransportParameters(make([]byte, maxTransportParameters))
	client.conn.SetTransportParameters(make([]byte, maxTransportParameters))
	if err := handshake(client, server, nil); err != nil {
		t.Errorf("longest parameters: %v", err)
	}
	for n := range 3 {
		client, server = newPair()
		server.conn.config.Rand = strings.NewReader(strings.Repeat("x", 32*n))
		if err := handshake(client, server, nil); alertOf(err) != 80 && n < 2 {
			t.Errorf("server with %d bytes of randomness: %v", 32*n, err)
		}
	}
}

func TestClose(t *testing.T) {
	for _, c := range []func(client, server *side) error{
		func(client, server *side) error { return nil },
		func(client, server *side) error { return client.start() },
		func(client, server *side) error { return handshake(client, server, nil) },
	} {
		client, server := newPair()
		if err := c(client, server); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := client.conn.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if e := client.conn.NextEvent(); e.Kind != tls.QUICNoEvent {
			t.Errorf("event %v after Close", e)
		}
		if err := client.conn.HandleData(tls.QUICEncryptionLevelInitial, nil); !errors.Is(err, ErrClosed) || alertOf(err) != 80 {
			t.Errorf("HandleData after Close: %v", err)
		}
		if client.conn.ConnectionState().HandshakeComplete != client.done {
			t.Error("Close changed the connection state")
		}
	}
	client, _ := newPair()
	err := client.handle(tls.QUICEncryptionLevelInitial, nil)
	if got := client.conn.Close(); got != err {
		t.Errorf("Close of a failed connection: %v", got)
	}
}
