package iroh

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// away is a relay as it looks from afar: what goes there and what comes back takes so long.
func away(t testing.TB, server *peer.RelayServer, delay time.Duration) relay.Node {
	t.Helper()
	target := fmt.Sprintf("127.0.0.1:%d", server.Port)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.Map
	var running sync.WaitGroup
	carry := func(from, to net.Conn) {
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			k, err := from.Read(buf)
			if err != nil {
				return
			}
			time.Sleep(delay)
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", target)
			if err != nil {
				here.Close()
				continue
			}
			open.Store(here, there)
			running.Go(func() { carry(here, there) })
			running.Go(func() { carry(there, here) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(here, there any) bool {
			here.(net.Conn).Close()
			there.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
	n, err := relay.ParseNode("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Of several relays the closest becomes the home, whichever is named first.
func TestClosestRelayIsHome(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	near, far, farther := away(t, server, 0), away(t, server, 250*time.Millisecond), away(t, server, 400*time.Millisecond)
	for i, order := range []relay.Map{{near, far, farther}, {farther, far, near}, {far, near, farther}} {
		e := endpoint(t, "127.0.0.1", func(c *Config) { c.Relays = order })
		if err := e.WaitRelay(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if got := e.HomeRelay(); got != near.URL.String() {
			t.Errorf("of %v it took %s, want %s", order, got, near.URL)
		}
		if i > 0 {
			continue
		}
		least := map[string]time.Duration{far.URL.String(): 500 * time.Millisecond, farther.URL.String(): 800 * time.Millisecond}
		for _, r := range e.Report(deadline(t)).Relays {
			if want := least[r.URL]; r.Latency != 0 && r.Latency < want { // 0: a busy machine has not found it out in time
				t.Errorf("%s is %s away, at least %s is true", r.URL, r.Latency, want)
			}
		}
	}
}
