package rpktls_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// These tests lie to a real endpoint over real QUIC.

const (
	alpn  = "lies/1"
	early = "a byte before its time"
)

func newEndpoint(t *testing.T) *iroh.Endpoint {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{alpn}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// transport is quic-go alone on a socket of its own.
func transport(t *testing.T) *quic.Transport {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: socket}
	t.Cleanup(func() {
		if err := errors.Join(tr.Close(), socket.Close()); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// liar is a forger's seed and the id that goes with it.
func liar() (seed [32]byte, id key.EndpointID) {
	_, _ = rand.Read(seed[:]) // never fails
	return seed, key.EndpointID(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

// serveEarly writes on a stream to whoever connects, before the handshake is complete, and goes on until the context is done.
func serveEarly(ctx context.Context, ln *quic.EarlyListener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		conns.Go(func() {
			defer conn.CloseWithError(0, "")
			stream, err := conn.OpenStreamSync(ctx)
			if err != nil {
				return
			}
			if _, err := stream.Write([]byte(early)); err != nil {
				return
			}
			<-conn.Context().Done()
		})
	}
}

// TestEndpointRefusesLyingServers: an endpoint dials servers that write at once and authenticate in every way that they should not. It
// refuses with the right alert and gets no connection; the first server of each round is honest and does get through.
func TestEndpointRefusesLyingServers(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	victim := newEndpoint(t)
	for round := range 5 {
		for _, forgery := range append(rpktls.Forgeries(), rpktls.Another()) {
			t.Run(forgery.Name, func(t *testing.T) {
				seed, id := liar()
				ln, err := transport(t).ListenEarly(rpktls.NewLiar(forgery, seed, alpn, key.EndpointID{}), nil)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				var serving sync.WaitGroup
				serving.Go(func() { serveEarly(ctx, ln) })
				defer serving.Wait()
				defer cancel()
				defer ln.Close()
				conn, err := victim.Dial(ctx, addrOf(t, id, ln.Addr()), alpn)
				if forgery.ToClient < 0 {
					wantEarly(t, ctx, conn, err)
					return
				}
				if conn != nil {
					conn.CloseWithError(0, "")
					t.Fatalf("round %d: connected", round)
				}
				wantAlert(t, err, forgery.ToClient, false)
			})
		}
	}
}

func addrOf(t *testing.T, id key.EndpointID, addr net.Addr) ticket.EndpointAddr {
	t.Helper()
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		t.Fatal(addr)
	}
	return ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{udp.AddrPort()}}
}

// wantEarly reads what an honest server wrote before the handshake was complete.
func wantEarly(t *testing.T, ctx context.Context, conn *iroh.Conn, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(early))
	if _, err := io.ReadFull(stream, got); err != nil || string(got) != early {
		t.Errorf("%q, %v", got, err)
	}
}

func wantAlert(t *testing.T, err error, alert int, remote bool) {
	t.Helper()
	var refused *quic.TransportError
	if !errors.As(err, &refused) || int(refused.ErrorCode) != 0x100+alert || refused.Remote != remote {
		t.Errorf("want alert %d: %v", alert, err)
	}
}

// TestEndpointRefusesLyingClients: clients that write at once are not accepted by an endpoint, and are told why.
func TestEndpointRefusesLyingClients(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	victim := newEndpoint(t)
	accepted := make(chan *iroh.Conn, 100)
	ctx, cancel := context.WithCancel(context.Background())
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := victim.Accept(ctx)
			if err != nil {
				return
			}
			accepted <- conn
		}
	})
	defer accepting.Wait()
	defer cancel()
	for round := range 5 {
		for _, forgery := range rpktls.Forgeries() {
			t.Run(forgery.Name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				seed, id := liar()
				config := rpktls.NewLiar(forgery, seed, alpn, victim.ID())
				conn, err := transport(t).Dial(ctx, net.UDPAddrFromAddrPort(victim.LocalAddrs()[0]), config, nil)
				if err == nil { // a client is done before its server has judged it
					err = writeEarly(ctx, conn)
				}
				if forgery.ToServer < 0 {
					if err != nil {
						t.Fatal(err)
					}
					var one *iroh.Conn
					select {
					case one = <-accepted:
					case <-conn.Context().Done():
						t.Fatal(context.Cause(conn.Context()))
					}
					if one.RemoteID() != id {
						t.Errorf("it is %v", one.RemoteID())
					}
					wantEarly(t, ctx, one, nil)
					conn.CloseWithError(0, "")
					return
				}
				if conn != nil {
					<-conn.Context().Done()
					err = context.Cause(conn.Context())
				}
				wantAlert(t, err, forgery.ToServer, true)
				select {
				case one := <-accepted:
					t.Errorf("round %d: accepted %v", round, one.RemoteID())
				default:
				}
			})
		}
	}
}

func writeEarly(ctx context.Context, conn *quic.Conn) error {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Write([]byte(early))
	return err
}
