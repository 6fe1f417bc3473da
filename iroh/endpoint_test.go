package iroh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

func TestHello(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			server, client := endpoint(t, host), endpoint(t, host)
			dialed, accepted := pair(t, client, server)
			if dialed.RemoteID() != server.ID() || accepted.RemoteID() != client.ID() {
				t.Error("an end knows the other one by a wrong id")
			}
			if dialed.ALPN() != testALPN || accepted.ALPN() != testALPN {
				t.Errorf("protocols %q and %q", dialed.ALPN(), accepted.ALPN())
			}
			if dialed.RemoteAddr() != server.socket.local || accepted.RemoteAddr() != client.socket.local {
				t.Errorf("addresses %s and %s", dialed.RemoteAddr(), accepted.RemoteAddr())
			}
			go echo(deadline(t), accepted)
			roundTrip(t, dialed, []byte("hello"))
			if err := dialed.CloseWithError(7, "enough"); err != nil {
				t.Fatal(err)
			}
			<-accepted.Done()
			var app *quic.ApplicationError
			if err := context.Cause(accepted.Context()); !errors.As(err, &app) || app.ErrorCode != 7 || app.ErrorMessage != "enough" || !app.Remote {
				t.Errorf("closed with %v", err)
			}
		})
	}
}

func roundTrip(t testing.TB, c *Conn, data []byte) {
	t.Helper()
	s, err := c.OpenStream(deadline(t))
	if err != nil {
		t.Error(err)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer s.Close()
		if _, err := s.Write(data); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(s)
	wg.Wait()
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("sent %d bytes, %d came back, err %v", len(data), len(got), err)
	}
}

func TestSizes(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	for _, size := range []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 1 << 20, 1<<20 + 1, 20 << 20} {
		data := make([]byte, size)
		rand.Read(data)
		roundTrip(t, dialed, data)
	}
}

// More streams at once than a peer may have open: those beyond the limit wait for their turn.
func TestManyStreams(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	data := make([]byte, 10_000)
	rand.Read(data)
	var wg sync.WaitGroup
	for range 5 * maxStreams {
		wg.Go(func() { roundTrip(t, dialed, data) })
	}
	wg.Wait()
}

func TestStreamLimit(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, _ := pair(t, client, server)
	for i := range maxStreams {
		if _, err := dialed.OpenStream(deadline(t)); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := dialed.OpenStream(ctx)
	wantErr(t, err, context.DeadlineExceeded)
	if _, err := dialed.quic.OpenUniStream(); err == nil {
		t.Error("the peer allows unidirectional streams")
	}
}

func TestWrongIDIsRefused(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	addr := server.Addr()
	addr.ID = testKey(t).ID()
	c, err := client.Dial(deadline(t), addr, testALPN)
	if c != nil {
		t.Fatal("connected to somebody else")
	}
	wantErr(t, err, ErrWrongID)
	if !strings.Contains(err.Error(), addr.Direct[0].String()) || !strings.Contains(err.Error(), "ask for a new ticket") {
		t.Errorf("unhelpful error: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := server.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the server accepted a refused connection: %v", err)
	}
}

func TestOtherProtocolIsRefused(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	_, err := client.Dial(deadline(t), server.Addr(), "other/1")
	wantErr(t, err, ErrProtocol)
	if !strings.Contains(err.Error(), `check that the peer accepts "other/1"`) {
		t.Errorf("unhelpful error: %v", err)
	}
}

func TestProtocolIsNegotiated(t *testing.T) {
	server := endpoint(t, "127.0.0.1", func(c *Config) { c.ALPNs = []string{"a/1", "b/1"} })
	client := endpoint(t, "127.0.0.1", func(c *Config) { c.ALPNs = nil })
	for _, alpn := range []string{"b/1", "a/1"} {
		c, err := client.Dial(deadline(t), server.Addr(), alpn)
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.Accept(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		if c.ALPN() != alpn || s.ALPN() != alpn {
			t.Errorf("%q became %q and %q", alpn, c.ALPN(), s.ALPN())
		}
	}
	if _, err := client.Accept(deadline(t)); err == nil {
		t.Error("an endpoint without protocols accepts")
	}
}

func TestConnectionsBothWaysOnOneSocket(t *testing.T) {
	a, b := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	ab, ba := pair(t, a, b)
	ba2, ab2 := pair(t, b, a)
	go echo(deadline(t), ba)
	go echo(deadline(t), ab2)
	roundTrip(t, ab, []byte("from a"))
	roundTrip(t, ba2, []byte("from b"))
}

func TestCloseClosesConnections(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	waiting := make(chan error, 2)
	go func() {
		_, err := server.Accept(context.Background())
		waiting <- err
	}()
	go func() {
		_, err := accepted.AcceptStream(context.Background())
		waiting <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-waiting; err == nil {
			t.Error("a waiting call succeeded")
		}
	}
	<-dialed.Done()
	var app *quic.ApplicationError
	if err := context.Cause(dialed.Context()); !errors.As(err, &app) || app.ErrorCode != 0 || app.ErrorMessage != "" {
		t.Errorf("the peer sees %v", err)
	}
	_, err := server.Accept(deadline(t))
	wantErr(t, err, ErrClosed)
	_, err = server.Dial(deadline(t), client.Addr(), testALPN)
	wantErr(t, err, ErrClosed)
	if err := server.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := openSocket(server.socket.local.String()); err != nil {
		t.Errorf("the port is still taken: %v", err)
	}
}

func TestCloseTellsConnectionsThatWereNeverAccepted(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	c, err := client.Dial(deadline(t), server.Addr(), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStream(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("anybody there?")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the server completes its side
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if idle := new(quic.IdleTimeoutError); errors.As(context.Cause(c.Context()), &idle) {
		t.Error("the peer had to find out by itself")
	}
}

func TestShutdownWaitsForConnections(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(deadline(t)) }()
	eventually(t, "accepting stops", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := server.Accept(ctx)
		return err != nil && !errors.Is(err, context.DeadlineExceeded)
	})
	roundTrip(t, dialed, []byte("still served"))
	select {
	case err := <-done:
		t.Fatalf("shutdown did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	dialed.CloseWithError(0, "")
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, _ := pair(t, client, server)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	wantErr(t, server.Shutdown(ctx), context.DeadlineExceeded)
	<-dialed.Done()
}

func TestIdleConnectionsAreKeptAndVanishedPeersNoticed(t *testing.T) {
	short := func(c *Config) { c.IdleTimeout, c.KeepAlive = 3*time.Second, 200*time.Millisecond }
	server, client := endpoint(t, "127.0.0.1", short), endpoint(t, "127.0.0.1", short)
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	select {
	case <-dialed.Done():
		t.Fatalf("an idle connection was closed: %v", context.Cause(dialed.Context()))
	case <-time.After(5 * time.Second):
	}
	roundTrip(t, dialed, []byte("still there"))
	client.socket.conn.Close() // without a word to the server
	start := time.Now()
	<-accepted.Done()
	var idle *quic.IdleTimeoutError
	if err := context.Cause(accepted.Context()); !errors.As(err, &idle) {
		t.Errorf("closed with %v", err)
	}
	if took := time.Since(start); took > 20*time.Second { // it is 30 s where nothing is configured
		t.Errorf("noticed after %v", took)
	}
	client.Close() // complains about its socket
}

// A process that was killed leaves peers that know nothing of it. The next one on the same port and with the same key tells
// them, long before their idle timeout.
func TestRestartIsNoticedByPeers(t *testing.T) {
	secret := testKey(t)
	same := func(c *Config) { c.SecretKey = secret }
	server, client := endpoint(t, "127.0.0.1", same), endpoint(t, "127.0.0.1")
	dialed, _ := pair(t, client, server)
	// Closing the socket under the endpoint is the nearest to a kill.
	server.socket.conn.Close()
	eventually(t, "the endpoint notices", func() bool { return server.connCount() == 0 })
	endpoint(t, "127.0.0.1", same, func(c *Config) { c.Listen = server.socket.local.String() })
	s, err := dialed.OpenStream(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the peer notices", func() bool {
		s.SetWriteDeadline(time.Now().Add(time.Second))
		s.Write(bytes.Repeat([]byte{1}, 100))
		return dialed.Context().Err() != nil
	})
	var reset *quic.StatelessResetError
	if err := context.Cause(dialed.Context()); !errors.As(err, &reset) {
		t.Errorf("closed with %v", err)
	}
	server.Close()
}

func TestDeadSocketEndsAccept(t *testing.T) {
	server := endpoint(t, "127.0.0.1")
	server.socket.conn.Close()
	_, err := server.Accept(deadline(t))
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	_ = server.Close() // complains about the socket
	server.mu.Lock()
	defer server.mu.Unlock()
	if !server.closed {
		t.Error("not closed")
	}
}

func TestConfig(t *testing.T) {
	good := Config{SecretKey: testKey(t), Listen: "127.0.0.1:0", ALPNs: []string{testALPN}}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no key", func(c *Config) { *c = Config{Listen: c.Listen} }, "no secret key"},
		{"host name", func(c *Config) { c.Listen = "localhost:1" }, "not an IP address and a port"},
		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, "not an IP address and a port"},
		{"empty protocol", func(c *Config) { c.ALPNs = []string{""} }, "1 to 255 bytes, not 0"},
		{"long protocol", func(c *Config) { c.ALPNs = []string{strings.Repeat("x", 256)} }, "1 to 255 bytes, not 256"},
		{"many protocols", func(c *Config) { c.ALPNs = make([]string, maxALPNs+1) }, "more than 32 protocols"},
		{"announced wildcard", func(c *Config) { c.Announce = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")} }, "nobody can dial"},
		{"negative timeout", func(c *Config) { c.IdleTimeout = -1 }, "negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			e, err := Listen(cfg)
			if err == nil {
				e.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
		})
	}
	filled, err := good.filled()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(filled.HandshakeTimeout, filled.IdleTimeout, filled.KeepAlive)
	if got != "10s 30s 5s" {
		t.Errorf("defaults %s", got)
	}
	if filled, _ := (Config{SecretKey: good.SecretKey}).filled(); filled.Listen != "0.0.0.0:4022" {
		t.Errorf("default address %s", filled.Listen)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	e := endpoint(t, "127.0.0.1")
	_, err := Listen(Config{SecretKey: testKey(t), Listen: e.socket.local.String()})
	if err == nil || !strings.Contains(err.Error(), e.socket.local.String()) || !strings.Contains(err.Error(), "port 0") {
		t.Errorf("got %v", err)
	}
}
