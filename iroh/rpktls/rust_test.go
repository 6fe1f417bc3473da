package rpktls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// These tests shake hands with a real iroh (rustls) on the loopback interface.

// oneSuite is an engine whose connections know a single suite.
type oneSuite struct {
	*engine
	suite uint16
}

func (e oneSuite) QUICConn(isClient bool, config *tls.QUICConfig) QUICConn {
	conn := e.engine.QUICConn(isClient, config).(*Conn)
	conn.suites = []uint16{e.suite}
	return conn
}

// withSuite is a TLSConfig for one suite; 0 is all.
func withSuite(cfg *Config, suite uint16) *tls.Config {
	config := TLSConfig(cfg)
	if suite != 0 {
		config.Rand = oneSuite{config.Rand.(*engine), suite}
	}
	return config
}

// watched is oneSuite whose connections can be looked at.
type watched struct {
	oneSuite
	made chan<- *Conn
}

func (e watched) QUICConn(isClient bool, config *tls.QUICConfig) QUICConn {
	conn := e.oneSuite.QUICConn(isClient, config).(*Conn)
	e.made <- conn
	return conn
}

func suites() []uint16 {
	return []uint16{0, tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
}

// resumer is an engine whose clients claim to want session tickets, which ours never do. It keeps the last one made.
type resumer struct {
	*engine
	last **Conn
}

func (e resumer) QUICConn(isClient bool, config *tls.QUICConfig) QUICConn {
	*e.last = e.engine.QUICConn(isClient, config).(*Conn)
	return resumerConn{*e.last}
}

type resumerConn struct{ *Conn }

func (c resumerConn) Start(ctx context.Context) error {
	if err := c.Conn.Start(ctx); err != nil {
		return err
	}
	c.hello.Extensions = append(c.hello.Extensions, wire.Extension{Type: wire.ExtPSKModes, Data: []byte{1, 1}})
	raw, err := c.hello.Append(nil)
	c.firstHello, c.events[0].Data = raw, raw
	return err
}

// TestTicketsOfIroh: those that a real iroh sends to clients which want them are accepted and dropped.
func TestTicketsOfIroh(t *testing.T) {
	node, err := peertest.Rust(t).Echo(peertest.Context(t), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	var last *Conn
	config := TLSConfig(&Config{SecretKey: seedKey(2), ALPN: []string{testALPN}, PeerID: &id})
	config.Rand = resumer{config.Rand.(*engine), &last}
	conn, err := quic.DialAddr(t.Context(), node.Addrs[0], config, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The tickets come with or before the first echo.
	if _, err := stream.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stream, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	last.mu.Lock()
	tickets := last.tickets
	last.mu.Unlock()
	conn.CloseWithError(0, "")
	if tickets != 2 {
		t.Errorf("%d tickets, where iroh sends two", tickets)
	}
}

// TestClientOfIroh: our client dials a real iroh, which echoes a megabyte.
func TestClientOfIroh(t *testing.T) {
	node, err := peertest.Rust(t).Echo(peertest.Context(t), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, suite := range suites() {
		config := withSuite(&Config{SecretKey: seedKey(2), ALPN: []string{testALPN}, PeerID: &id}, suite)
		conn, err := quic.DialAddr(ctx, node.Addrs[0], config, nil)
		if err != nil {
			t.Fatalf("suite %x: %v", suite, err)
		}
		state := conn.ConnectionState().TLS
		if got, err := PeerID(state); err != nil || got != id || suite != 0 && state.CipherSuite != suite {
			t.Errorf("suite %x: peer %v, %v, suite %x", suite, got, err, state.CipherSuite)
		}
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte("echo"), 1<<18)
		go func() {
			_, _ = stream.Write(data)
			stream.Close()
		}()
		if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, data) {
			t.Errorf("suite %x: %d bytes back, %v", suite, len(got), err)
		}
		conn.CloseWithError(0, "")
	}

	var transport *quic.TransportError
	other := seedKey(7).ID()
	_, err = quic.DialAddr(ctx, node.Addrs[0], TLSConfig(&Config{SecretKey: seedKey(2), ALPN: []string{testALPN}, PeerID: &other}), nil)
	if !errors.Is(err, ErrPeerMismatch) || !errors.As(err, &transport) || transport.ErrorCode != 0x130 {
		t.Errorf("another id: %v", err)
	}
	_, err = quic.DialAddr(ctx, node.Addrs[0], TLSConfig(&Config{SecretKey: seedKey(2), ALPN: []string{"x"}, PeerID: &id}), nil)
	if !errors.As(err, &transport) || transport.ErrorCode != 0x178 || !transport.Remote {
		t.Errorf("another protocol: %v", err)
	}
}

// TestServerOfIroh: a real iroh dials our server.
func TestServerOfIroh(t *testing.T) {
	rust := peertest.Rust(t)
	for _, suite := range suites() {
		listener, err := quic.ListenAddr("127.0.0.1:0", withSuite(serverConfig(), suite), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		client := make(chan tls.ConnectionState, 1)
		go func() {
			if conn, err := listener.Accept(context.Background()); err == nil {
				client <- conn.ConnectionState().TLS
			}
		}()
		target := "@" + listener.Addr().String()
		dial, err := rust.Dial(t.Context(), seedKey(1).ID().String()+target)
		if err != nil {
			t.Fatalf("suite %x: %v", suite, err)
		}
		if dial.RemoteID != seedKey(1).ID().String() || dial.ALPN != testALPN {
			t.Errorf("suite %x: iroh saw %+v", suite, dial)
		}
		state := <-client
		if got, err := PeerID(state); err != nil || got.String() != dial.LocalID || suite != 0 && state.CipherSuite != suite {
			t.Errorf("suite %x: client %v, %v, suite %x", suite, got, err, state.CipherSuite)
		}
		if suite != 0 {
			continue
		}
		for name, c := range map[string]struct {
			id    key.EndpointID
			flags []string
			text  string
		}{
			"another id":       {id: seedKey(7).ID()},
			"another protocol": {id: seedKey(1).ID(), flags: []string{"--alpn", "x"}, text: "error 120"},
		} {
			flags := append(c.flags, "--timeout", "5")
			if dial, err := rust.Dial(t.Context(), c.id.String()+target, flags...); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %+v, %v", name, dial, err)
			}
		}
	}
}

// TestRetryWithIroh: a real iroh that prefers P-256 is asked for a share of X25519 and completes the handshake.
func TestRetryWithIroh(t *testing.T) {
	rust := peertest.Rust(t)
	for _, suite := range suites()[1:] {
		config := withSuite(serverConfig(), suite)
		made := make(chan *Conn, 10)
		config.Rand = watched{config.Rand.(oneSuite), made}
		listener, err := quic.ListenAddr("127.0.0.1:0", config, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		complete := make(chan error, 1)
		go func() {
			_, err := listener.Accept(t.Context())
			complete <- err
		}()
		target := seedKey(1).ID().String() + "@" + listener.Addr().String()
		dial, err := rust.Dial(t.Context(), target, "--prefer-p256")
		if err != nil {
			t.Fatalf("suite %x: %v", suite, err)
		}
		if err := <-complete; err != nil {
			t.Fatal(err)
		}
		conn := <-made
		conn.mu.Lock()
		retried, state := conn.retried, conn.connState
		conn.mu.Unlock()
		if id, err := PeerID(state); err != nil || id.String() != dial.LocalID || !retried || state.CipherSuite != suite {
			t.Errorf("suite %x: client %v, %v, retried %v, suite %x", suite, id, err, retried, state.CipherSuite)
		}
		if dial.RemoteID != seedKey(1).ID().String() || dial.ALPN != testALPN || len(made) > 0 {
			t.Errorf("suite %x: iroh saw %+v", suite, dial)
		}
	}
}
