package rpktls

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// crypto/tls is the reference: the same events in the same order, and the same secrets for the same messages.

// quicConn is what both engines are.
type quicConn interface {
	Start(context.Context) error
	HandleData(tls.QUICEncryptionLevel, []byte) error
	NextEvent() tls.QUICEvent
	SetTransportParameters([]byte)
	Close() error
}

var (
	_ quicConn = (*tls.QUICConn)(nil)
	_ quicConn = (*Conn)(nil)
)

// x509Config is for crypto/tls on both sides with client authentication, as close to this package as it can be.
func x509Config(t *testing.T) *tls.Config {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"peer"}}
	der, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		RootCAs:                roots,
		ServerName:             "peer",
		ClientAuth:             tls.RequireAnyClientCert,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{testALPN},
		CurvePreferences:       []tls.CurveID{tls.X25519},
		SessionTicketsDisabled: true,
	}
}

// tell runs a handshake and notes every event of each side. late leaves the parameters to the event that asks for them.
func tell(t *testing.T, client, server quicConn, late bool) (log [2][]string) {
	t.Helper()
	conns := [2]quicConn{client, server}
	for _, c := range conns {
		if !late {
			c.SetTransportParameters([]byte("parameters"))
		}
		if err := c.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for moved := true; moved; {
		moved = false
		for i, c := range conns {
			for {
				e := c.NextEvent()
				if e.Kind == tls.QUICNoEvent {
					break
				}
				moved = true
				line := fmt.Sprintf("%d %v", e.Kind, e.Level)
				switch e.Kind {
				case tls.QUICTransportParametersRequired:
					c.SetTransportParameters([]byte("parameters"))
				case tls.QUICSetReadSecret, tls.QUICSetWriteSecret:
					line += fmt.Sprintf(" %x %d bytes", e.Suite, len(e.Data))
				case tls.QUICTransportParameters:
					line += fmt.Sprintf(" %q", e.Data)
				case tls.QUICWriteData:
					line += fmt.Sprint(" ", typesIn(e.Data))
					if err := conns[1-i].HandleData(e.Level, e.Data); err != nil {
						t.Fatal(err)
					}
				case tls.QUICErrorEvent:
					t.Fatal(e.Err)
				}
				log[i] = append(log[i], line)
			}
		}
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	return log
}

// typesIn lists the types of the messages in a flight.
func typesIn(flight []byte) (types []wire.Type) {
	for _, m := range messagesIn(flight) {
		types = append(types, wire.Type(m[0]))
	}
	return types
}

// messagesIn cuts a flight into its messages.
func messagesIn(flight []byte) (list [][]byte) {
	for len(flight) >= wire.HeaderSize {
		n := wire.HeaderSize + int(flight[1])<<16 + int(flight[2])<<8 + int(flight[3])
		list = append(list, bytes.Clone(flight[:n]))
		flight = flight[n:]
	}
	return list
}

func TestSameEventsAsCryptoTLS(t *testing.T) {
	for _, late := range []bool{false, true} {
		config := x509Config(t)
		want := tell(t, tls.QUICClient(&tls.QUICConfig{TLSConfig: config}), tls.QUICServer(&tls.QUICConfig{TLSConfig: config}), late)
		got := tell(t, Client(clientConfig()), Server(serverConfig()), late)
		for i, who := range []string{"client", "server"} {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("late %v: %s says\n%q, but crypto/tls\n%q", late, who, got[i], want[i])
			}
			if len(want[i]) < 8 {
				t.Errorf("crypto/tls said only %q", want[i])
			}
		}
	}
}

// TestSameSecretsAsCryptoTLS: our client with crypto/tls's server, for each suite. They part at the certificate types,
// after the handshake secrets; the rest of the server's flight is put through our key schedule by hand.
func TestSameSecretsAsCryptoTLS(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		config := x509Config(t)
		config.ClientAuth = tls.NoClientCert
		server := tls.QUICServer(&tls.QUICConfig{TLSConfig: config})
		server.SetTransportParameters([]byte("parameters"))
		defer server.Close()
		if err := server.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		client := newSide(Client(clientConfig()))
		client.conn.suites = []uint16{suite}
		client.conn.SetTransportParameters([]byte("parameters"))
		if err := client.start(); err != nil {
			t.Fatal(err)
		}
		if err := server.HandleData(tls.QUICEncryptionLevelInitial, client.take()[0].data); err != nil {
			t.Fatal(err)
		}
		var flight []byte
		var application []byte
		for e := server.NextEvent(); e.Kind != tls.QUICNoEvent; e = server.NextEvent() {
			switch {
			case e.Kind == tls.QUICWriteData && e.Level == tls.QUICEncryptionLevelInitial:
				if err := client.handle(e.Level, e.Data); err != nil {
					t.Fatal(err)
				}
			case e.Kind == tls.QUICWriteData:
				flight = bytes.Clone(e.Data)
			case e.Kind == tls.QUICSetWriteSecret && e.Level == tls.QUICEncryptionLevelApplication:
				application = bytes.Clone(e.Data)
			case e.Kind == tls.QUICSetWriteSecret && !bytes.Equal(e.Data, client.read[e.Level]),
				e.Kind == tls.QUICSetReadSecret && !bytes.Equal(e.Data, client.write[e.Level]):
				t.Errorf("%x: handshake secrets differ", suite)
			}
		}
		keys, secret := client.conn.keys, client.conn.serverSecret
		for _, m := range messagesIn(flight) {
			if wire.Type(m[0]) == wire.TypeFinished {
				mac, err := keys.finished(secret)
				if err != nil || !bytes.Equal(mac, m[wire.HeaderSize:]) {
					t.Errorf("%x: Finished differs, %v", suite, err)
				}
			}
			keys.write(m)
		}
		if _, got, err := keys.application(); err != nil || len(got) == 0 || !bytes.Equal(got, application) {
			t.Errorf("%x: application secrets differ, %v", suite, err)
		}
		if client.suite != suite {
			t.Errorf("suite %x, want %x", client.suite, suite)
		}
	}
}

// pump carries the data of from's events.
func pump(from, to quicConn) error {
	for e := from.NextEvent(); e.Kind != tls.QUICNoEvent; e = from.NextEvent() {
		if e.Kind == tls.QUICWriteData {
			if err := to.HandleData(e.Level, bytes.Clone(e.Data)); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestCryptoTLSIsRefused: a peer with X.509 and nothing else, in either role.
func TestCryptoTLSIsRefused(t *testing.T) {
	for _, weAreClient := range []bool{true, false} {
		foreign := &tls.QUICConfig{TLSConfig: x509Config(t)}
		var client, server quicConn = Client(clientConfig()), tls.QUICServer(foreign)
		if !weAreClient {
			client, server = tls.QUICClient(foreign), Server(serverConfig())
		}
		var err error
		for _, c := range []quicConn{client, server} {
			c.SetTransportParameters([]byte("parameters"))
			if err := c.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		for i := 0; i < 3 && err == nil; i++ {
			if err = pump(client, server); err == nil {
				err = pump(server, client)
			}
		}
		if alertOf(err) != 40 {
			t.Errorf("we are client %v: alert %d: %v", weAreClient, alertOf(err), err)
		}
	}
}
