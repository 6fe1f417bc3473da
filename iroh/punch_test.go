package iroh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/punch"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// withRelay configures a relay that is not there.
func withRelay(c *Config) {
	n, err := relay.ParseNode("http://127.0.0.1:1/")
	if err != nil {
		panic(err)
	}
	c.Relays = relay.Map{n}
}

// Without relays nobody has to come through one, and nothing is sent to anybody who says that he did.
func TestServerWithoutRelaysSendsNothing(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	seen, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	conf := punch.Offer(client.clientTLS(server.ID(), testALPN), []netip.AddrPort{addrPort(seen.LocalAddr())}, nil)
	conn, err := client.transport.Dial(deadline(t), net.UDPAddrFromAddrPort(server.socket.local), conf, client.dialConf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	var b [100]byte
	seen.SetReadDeadline(time.Now().Add(2 * punchPause))
	if n, _, err := seen.ReadFrom(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%x, %v", b[:n], err)
	}
}

// A client that says in its handshake where others see it gets three datagrams of one byte there, and no more.
func TestServerOpensItsNAT(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1", withRelay), endpoint(t, "127.0.0.1")
	seen, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	private := netip.MustParseAddrPort("10.255.255.254:9")
	conf := punch.Offer(client.clientTLS(server.ID(), testALPN), []netip.AddrPort{private, addrPort(seen.LocalAddr())}, nil)
	conn, err := client.transport.Dial(deadline(t), net.UDPAddrFromAddrPort(server.socket.local), conf, client.dialConf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	var b [100]byte
	for i := range punches {
		seen.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := seen.ReadFromUDPAddrPort(b[:])
		if err != nil || n != 1 || b[0] != 0 || from != server.socket.local {
			t.Fatalf("datagram %d: %x from %s, %v", i, b[:n], from, err)
		}
	}
	seen.SetReadDeadline(time.Now().Add(2 * punchPause))
	if n, _, err := seen.ReadFrom(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("and then %x, %v", b[:n], err)
	}
}

// Nothing is sent for somebody who does not complete the handshake, or beyond the limit, and nothing outlives the endpoint.
func TestPunchingIsBounded(t *testing.T) {
	to := []netip.AddrPort{silent(t, "127.0.0.1")}
	id := testKey(t).ID()
	quickOnce(t, (punches-1)*punchPause, func() (begun time.Time) { // which Close would take if it waited for all
		server := endpoint(t, "127.0.0.1")
		begun = time.Now()
		for range 10 * maxPunching {
			server.punch(id, to)
		}
		if n := len(server.punching); n > maxPunching || n == 0 && time.Since(begun) < punchPause {
			t.Errorf("%d at once", n)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		server.punch(id, to)
		if len(server.punching) != 0 {
			t.Error("it goes on after the end")
		}
		return begun
	})
}

// A datagram that opens a NAT disturbs nobody who gets it, whatever he is in the middle of.
func TestPunchDisturbsNobody(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	server.punch(client.ID(), []netip.AddrPort{client.socket.local})
	client.punch(server.ID(), []netip.AddrPort{server.socket.local})
	exchange(t, dialed, random(1<<20))
	if _, err := client.Dial(context.Background(), ticket.EndpointAddr{ID: server.ID(), Direct: []netip.AddrPort{server.socket.local}}, testALPN); err != nil {
		t.Error(err)
	}
}
