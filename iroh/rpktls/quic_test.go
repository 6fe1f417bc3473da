package rpktls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// These tests run the engine inside quic-go, over UDP on the loopback interface.

func listen(t *testing.T, cfg *Config) *quic.Listener {
	t.Helper()
	listener, err := quic.ListenAddr("127.0.0.1:0", TLSConfig(cfg), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func dial(t *testing.T, addr net.Addr, cfg *Config) (*quic.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	conn, err := quic.DialAddr(ctx, addr.String(), TLSConfig(cfg), nil)
	if err == nil {
		t.Cleanup(func() { conn.CloseWithError(0, "") })
	}
	return conn, err
}

func TestOverQUIC(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("transfer", func(t *testing.T) {
		listener := listen(t, serverConfig())
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB: some key updates' worth of packets
		served := make(chan error, 1)
		go func() { served <- serve(listener, data) }()
		conn, err := dial(t, listener.Addr(), clientConfig())
		if err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		if id, err := PeerID(state.TLS); err != nil || id != seedKey(1).ID() || state.Used0RTT || state.TLS.DidResume {
			t.Errorf("peer %v, %v, state %+v", id, err, state)
		}
		stream, err := conn.OpenStreamSync(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		stream.Close()
		got, err := io.ReadAll(stream)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		conn.CloseWithError(0, "")
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// serve answers one stream of one connection with data, and waits for its end.
func serve(listener *quic.Listener, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := listener.Accept(ctx)
	if err != nil {
		return err
	}
	if id, err := PeerID(conn.ConnectionState().TLS); err != nil || id != seedKey(2).ID() {
		return errors.New("not the client that was expected")
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	if _, err := io.ReadAll(stream); err != nil {
		return err
	}
	if _, err := stream.Write(data); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	<-conn.Context().Done()
	return nil
}

// TestAlertsOverQUIC: a refusal reaches the other side as CRYPTO_ERROR 0x100 + alert, and stays a local error that can
// be told apart.
func TestAlertsOverQUIC(t *testing.T) {
	stranger := seedKey(9).ID()
	for name, c := range map[string]struct {
		server func(*Config)
		client func(*Config)
		code   quic.TransportErrorCode
		remote bool // for the client: the server refused
		is     error
	}{
		"no protocol in common": {client: func(c *Config) { c.ALPN = []string{"h3"} }, code: 0x178, remote: true},
		"another key":           {client: func(c *Config) { c.PeerID = &stranger }, code: 0x130, is: ErrPeerMismatch},
		"no key":                {client: func(c *Config) { c.SecretKey = key.SecretKey{} }, code: 0x150},
		"client is a stranger":  {server: func(c *Config) { c.PeerID = &stranger }, code: 0x130, remote: true},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			if c.server != nil {
				c.server(server)
			}
			if c.client != nil {
				c.client(client)
			}
			conn, err := dial(t, listen(t, server).Addr(), client)
			if err == nil { // the client is done before the server has judged it
				<-conn.Context().Done()
				err = context.Cause(conn.Context())
			}
			var transport *quic.TransportError
			if !errors.As(err, &transport) || transport.ErrorCode != c.code || transport.Remote != c.remote {
				t.Errorf("error %v", err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

// TestCryptoTLSOverTheSameQUIC: libp2p's connections go on as before, and the two kinds do not mix.
func TestCryptoTLSOverTheSameQUIC(t *testing.T) {
	foreign, err := quic.ListenAddr("127.0.0.1:0", x509Config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, foreign.Addr().String(), x509Config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.CloseWithError(0, "")

	var transport *quic.TransportError
	if _, err := dial(t, foreign.Addr(), clientConfig()); !errors.As(err, &transport) || transport.ErrorCode != 0x128 {
		t.Errorf("our client, their server: %v", err)
	}
	_, err = quic.DialAddr(ctx, listen(t, serverConfig()).Addr().String(), x509Config(t), nil)
	if !errors.As(err, &transport) || transport.ErrorCode != 0x128 || !transport.Remote {
		t.Errorf("their client, our server: %v", err)
	}
}

// TestTLSConfigWithoutTheSeam: where quic-go gives the configuration to crypto/tls itself, nothing gets through in
// either role, not even with everything in it that crypto/tls needs.
func TestTLSConfigWithoutTheSeam(t *testing.T) {
	for _, weAreClient := range []bool{true, false} {
		theirs := x509Config(t)
		theirs.ClientAuth = tls.NoClientCert
		ours := TLSConfig(serverConfig())
		ours.Certificates, ours.RootCAs, ours.ServerName = theirs.Certificates, theirs.RootCAs, theirs.ServerName
		client, server := tls.QUICClient(&tls.QUICConfig{TLSConfig: ours}), tls.QUICServer(&tls.QUICConfig{TLSConfig: theirs})
		if !weAreClient {
			client, server = tls.QUICClient(&tls.QUICConfig{TLSConfig: theirs}), tls.QUICServer(&tls.QUICConfig{TLSConfig: ours})
		}
		for _, c := range []*tls.QUICConn{client, server} {
			c.SetTransportParameters([]byte("parameters"))
			if err := c.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		err := pump(client, server)
		if err == nil {
			err = pump(server, client)
		}
		if err == nil {
			err = pump(client, server)
		}
		if err == nil || !strings.Contains(err.Error(), "without a pluggable engine") {
			t.Errorf("we are client %v: %v", weAreClient, err)
		}
	}
	var p [8]byte
	if n, err := TLSConfig(serverConfig()).Rand.Read(p[:]); n != 8 || err != nil || p == [8]byte{} {
		t.Errorf("randomness %x, %v", p, err)
	}
}
