package iroh

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/internal/admission"
)

// visit is the attempt of somebody to connect, who has proven that the address is his or not, until it is called off.
func visit(e *Endpoint, addr string, verified bool) (leave context.CancelFunc, err error) {
	ctx, leave := context.WithCancel(context.Background())
	if _, err = e.admission.Admit(ctx, &quic.ClientInfo{RemoteAddr: udp(addr), AddrVerified: verified}); err != nil {
		leave()
	}
	return leave, err
}

func udp(addr string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

// host is the address of the i-th of many hosts.
func host(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255) }

// Handshakes that somebody begins and never finishes do not keep others out: a Retry is asked for, and passed.
func TestRetryUnderLoad(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	var in []context.CancelFunc
	for i := range admission.RetryHalfOpen {
		v, err := visit(server, host(i), false)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, v)
	}
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	roundTrip(t, dialed, []byte("hello"))
	for i := admission.RetryHalfOpen; i < admission.MaxConns-1; i++ { // one is that of the two above
		v, err := visit(server, host(i), true)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, v)
	}
	refused, err := client.Dial(deadline(t), server.Addr(), testALPN)
	if err == nil {
		t.Errorf("%v came in beyond the limit", refused)
	}
	roundTrip(t, dialed, []byte("not affected"))
	for _, v := range in {
		v()
	}
	eventually(t, "slots are given back", func() bool { return !server.admission.NeedsRetry(udp(host(0))) })
	pair(t, client, server)
}

func TestSlotsFollowConnections(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	total := server.admission.Counts
	dialed, _ := pair(t, client, server)
	if got := total(); got != (admission.Count{All: 1}) {
		t.Errorf("one connection, counted %v", got)
	}
	addr := server.Addr()
	addr.ID = testKey(t).ID()
	if _, err := client.Dial(deadline(t), addr, testALPN); err == nil {
		t.Fatal("wrong id accepted")
	}
	eventually(t, "a failed handshake gives its slot back", func() bool { return total() == admission.Count{All: 1} })
	dialed.CloseWithError(0, "")
	eventually(t, "a closed connection gives its slot back", func() bool { return total() == admission.Count{} })
}

func TestSilentClientIsDropped(t *testing.T) {
	server := endpoint(t, "127.0.0.1", func(c *Config) { c.HandshakeTimeout = 300 * time.Millisecond })
	client := endpoint(t, "127.0.0.1")
	// A client that receives nothing gets no further than its first Initial.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	deaf := &quic.Transport{Conn: deafConn{sock}}
	defer deaf.Close()
	dialed := make(chan error, 1)
	go func() {
		_, err := deaf.Dial(ctx, net.UDPAddrFromAddrPort(server.socket.local), client.clientTLS(server.ID(), testALPN), client.dialConf)
		dialed <- err
	}()
	halfOpen := func() int { return server.admission.Counts().HalfOpen }
	eventually(t, "a handshake is under way", func() bool { return halfOpen() == 1 })
	cancel() // it would begin again and again
	if err := <-dialed; err == nil {
		t.Fatal("connected")
	}
	start := time.Now()
	eventually(t, "the handshake ends", func() bool { return halfOpen() == 0 })
	if took := time.Since(start); took > 5*time.Second { // half of the timeout that is not configured
		t.Errorf("took %v", took)
	}
}

// deafConn drops whatever arrives.
type deafConn struct{ net.PacketConn }

func (c deafConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if n, addr, err := c.PacketConn.ReadFrom(p); err != nil {
			return n, addr, err
		}
	}
}
