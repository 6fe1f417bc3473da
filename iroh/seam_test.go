package iroh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

// quicEngine is what the copy of quic-go looks for in tls.Config.Rand, spelled out once more: were it something else
// there, or in rpktls, connections would silently be made by crypto/tls.
type quicEngine interface {
	QUICConn(isClient bool, config *tls.QUICConfig) interface {
		Start(ctx context.Context) error
		Close() error
		NextEvent() tls.QUICEvent
		HandleData(level tls.QUICEncryptionLevel, data []byte) error
		SetTransportParameters(params []byte)
		SendSessionTicket(opts tls.QUICSessionTicketOptions) error
		StoreSession(session *tls.SessionState) error
		ConnectionState() tls.ConnectionState
	}
}

var _ quicEngine = rpktls.Engine(nil)

func TestRPKTLSHasTheShapeOfTheSeam(t *testing.T) {
	if _, ok := rpktls.TLSConfig(&rpktls.Config{}).Rand.(quicEngine); !ok {
		t.Error("quic-go would not find the engine of rpktls")
	}
}

// recorder is an engine that leaves the work to crypto/tls and remembers for which side it was asked.
type recorder struct {
	mu    sync.Mutex
	sides []string
}

func (r *recorder) Read(p []byte) (int, error) { return rand.Read(p) }

func (r *recorder) QUICConn(isClient bool, config *tls.QUICConfig) rpktls.QUICConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if isClient {
		r.sides = append(r.sides, "client")
		return tls.QUICClient(config)
	}
	r.sides = append(r.sides, "server")
	return tls.QUICServer(config)
}

// x509Configs returns configurations of crypto/tls that trust each other.
func x509Configs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	chain := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}
	return &tls.Config{Certificates: chain, NextProtos: []string{testALPN}}, &tls.Config{RootCAs: roots, NextProtos: []string{testALPN}}
}

// The engine in Rand survives what quic-go does with configurations: clones, and callbacks that it wraps. It is used
// exactly where it is, and crypto/tls elsewhere.
func TestEngineIsTakenFromRand(t *testing.T) {
	for _, c := range []struct {
		name           string
		server, client bool // has an engine
		want           []string
	}{
		{"neither", false, false, nil},
		{"server", true, false, []string{"server"}},
		{"client", false, true, []string{"client"}},
		{"both", true, true, []string{"client", "server"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := &recorder{}
			server, client := x509Configs(t)
			server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
			if c.server {
				server.Rand = engine
			}
			if c.client {
				client.Rand = engine
			}
			connectQUIC(t, server, client)
			if got := slices.Sorted(slices.Values(engine.sides)); !slices.Equal(got, c.want) {
				t.Errorf("engine used for %v, want %v", got, c.want)
			}
		})
	}
}

// plainQUIC is quic-go on a socket of its own, with nothing of this package.
func plainQUIC(t *testing.T) *quic.Transport {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: sock}
	t.Cleanup(func() {
		tr.Close()
		sock.Close()
	})
	return tr
}

// connectQUIC makes a connection by quic-go alone.
func connectQUIC(t *testing.T, server, client *tls.Config) {
	t.Helper()
	ln, err := plainQUIC(t).Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := plainQUIC(t).Dial(deadline(t), ln.Addr(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseWithError(0, "")
	s, err := ln.Accept(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseWithError(0, "")
}

// A server of crypto/tls, with X.509, is not one that an endpoint talks to; nor the other way round.
func TestX509PeersAreRefused(t *testing.T) {
	server, client := x509Configs(t)
	e := endpoint(t, "127.0.0.1")

	ln, err := plainQUIC(t).Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = e.Dial(deadline(t), at(&Endpoint{id: testKey(t).ID()}, addrPort(ln.Addr())), testALPN)
	var d *DialError
	if !errors.As(err, &d) {
		t.Errorf("dialing X.509: %v", err)
	}
	var refused *quic.TransportError
	if !errors.As(err, &refused) || !refused.ErrorCode.IsCryptoError() {
		t.Errorf("dialing X.509: %v is no TLS alert", err)
	}

	_, err = plainQUIC(t).Dial(deadline(t), net.UDPAddrFromAddrPort(e.socket.local), client, nil)
	if !errors.As(err, &refused) || refused.ErrorCode != refusedHandshake || !refused.Remote {
		t.Errorf("dialed with X.509: %v", err)
	}
}
