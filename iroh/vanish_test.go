package iroh

import (
	"net/netip"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// The socket is gone, and so is the relay: everything that waits ends, and Close is as quick as ever.
func TestSocketAndRelayVanish(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{TLS: true})
	n, err := relay.ParseNode(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n.QADPort = server.QUIC
	e := endpoint(t, "127.0.0.1", func(c *Config) {
		c.Relays, c.RelayRoots, c.HandshakeTimeout = relay.Map{n}, server.Roots, time.Second
	})
	if err := e.WaitRelay(deadline(t)); err != nil {
		t.Fatal(err)
	}
	other := endpoint(t, "127.0.0.1")
	dialed, _ := pair(t, other, e)
	accepted := make(chan error, 1)
	go func() { _, err := e.Accept(deadline(t)); accepted <- err }()
	time.Sleep(time.Second) // the report's round would be shared with one that began less than half a second before
	server.Kill()
	e.socket.udp.Close()
	select {
	case err := <-accepted:
		if err == nil {
			t.Error("somebody was accepted")
		}
	case <-time.After(30 * time.Second):
		t.Error("accept waits on")
	}
	if _, err := e.Dial(deadline(t), ticket.EndpointAddr{ID: other.ID(), Direct: []netip.AddrPort{other.socket.local}}, testALPN); err == nil {
		t.Error("dialed without a socket")
	}
	eventually(t, "it is seen that the relay is gone", func() bool { return !e.RelayStates()[0].Connected })
	start := time.Now()
	r := e.Report(deadline(t))
	if took := time.Since(start); took > 3*reportTime || r.NAT != NATUnknown || len(r.Relays) != 1 || r.Relays[0].Err == "" || r.Relays[0].QUICErr == "" {
		t.Errorf("after %s: %+v", took, r)
	}
	start = time.Now()
	_ = e.Close() // its error is that the socket is closed already
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("close took %s", took)
	}
	dialed.CloseWithError(0, "")
}
