package iroh

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// No test may leave a goroutine behind: each closes what it opens, and Close waits for all that an endpoint started.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testALPN = "test/1"

func testKey(t testing.TB) key.SecretKey {
	t.Helper()
	k, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// endpoint opens an endpoint on a free port of host that is closed with the test.
func endpoint(t testing.TB, host string, change ...func(*Config)) *Endpoint {
	t.Helper()
	cfg := Config{SecretKey: testKey(t), Listen: netip.AddrPortFrom(netip.MustParseAddr(host), 0).String(), ALPNs: []string{testALPN}}
	for _, c := range change {
		c(&cfg)
	}
	e, err := Listen(cfg)
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

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// at is the address of e under the given direct addresses.
func at(e *Endpoint, direct ...netip.AddrPort) ticket.EndpointAddr {
	return ticket.EndpointAddr{ID: e.ID(), Direct: direct}
}

// loopback returns the address of e on 127.0.0.1 or ::1.
func loopback(e *Endpoint, ip string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), e.socket.local.Port())
}

// pair connects two endpoints and returns both ends of the connection.
func pair(t testing.TB, client, server *Endpoint) (dialed, accepted *Conn) {
	t.Helper()
	ctx := deadline(t)
	type result struct {
		c   *Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := server.Accept(ctx)
		ch <- result{c, err}
	}()
	dialed, err := client.Dial(ctx, server.Addr(), testALPN)
	if err != nil {
		t.Fatal(err)
	}
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	return dialed, r.c
}

// echo answers every stream of c with what it received, until c is closed.
func echo(ctx context.Context, c *Conn) {
	for {
		s, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		go func() {
			defer s.Close()
			if _, err := io.Copy(s, s); err != nil {
				s.CancelWrite(1)
			}
		}()
	}
}

// eventually waits until ok, at most 30 s: for what a machine does at once that has nothing else to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("did not happen: " + what)
		}
	}
}

// quickOnce repeats what is to be over before limit has passed since the time that it returns. What really waits for so long
// never is; a busy machine is late at times, so that once in ten is enough.
func quickOnce(t testing.TB, limit time.Duration, what func() (begun time.Time)) {
	t.Helper()
	var took time.Duration
	for range 10 {
		if took = time.Since(what()); took < limit {
			return
		}
	}
	t.Errorf("it always takes %s or longer, the last time %s", limit, took)
}

func (e *Endpoint) connCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want one that wraps %q", err, want)
	}
}

func portOf(e *Endpoint) string { return strconv.Itoa(int(e.socket.local.Port())) }
