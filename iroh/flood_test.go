package iroh

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/ticket"

	"github.com/iroh-ipfs/bridge/iroh/internal/admission"
)

// firstInitial is the first datagram that a client sends to the endpoint with the given id.
func firstInitial(t *testing.T, server *Endpoint) []byte {
	t.Helper()
	client := endpoint(t, "127.0.0.1")
	trap, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	ctx, cancel := context.WithCancel(context.Background())
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		client.Dial(ctx, ticket.EndpointAddr{ID: server.ID(), Direct: []netip.AddrPort{addrPort(trap.LocalAddr())}}, testALPN)
	}()
	buf := make([]byte, 2000)
	trap.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := trap.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-dialed
	if n < 1200 || buf[0]&0xc0 != 0xc0 || binary.BigEndian.Uint32(buf[1:]) != 1 {
		t.Fatalf("%x is no Initial", buf[:n])
	}
	return buf[:n]
}

// flood sends 20,000 datagrams and returns how many bytes they had together. Meanwhile it calls look.
func flood(from *net.UDPConn, initial []byte, rng *mrand.Rand, look func()) (sent int) {
	packet := make([]byte, len(initial))
	for i := range 20_000 {
		p := packet[:copy(packet, initial)]
		switch i % 4 {
		case 0: // noise
			p = packet[:1+rng.IntN(len(packet))]
			rand.Read(p)
		case 1: // a damaged Initial of a new connection
			rand.Read(p[6:14])
			p[rng.IntN(len(p))] ^= byte(1 + rng.IntN(255))
		case 2: // an Initial of a new connection that nobody can decrypt
			rand.Read(p[6:14])
		case 3: // the same one again and again
		}
		if n, err := from.Write(p); err == nil {
			sent += n
		}
		if i%500 == 0 {
			time.Sleep(time.Millisecond) // lets the server see more than its socket buffer holds
			look()
		}
	}
	return sent
}

// Garbage, damaged Initials and Initials of clients that never come back, all from one source, take no more than that
// source's share; a connection that exists goes on, a new one is made from the very same source, and when it is over
// nothing is left.
func TestFlood(t *testing.T) {
	seed := mrand.Uint64()
	t.Logf("seed %d", seed)
	rng := mrand.New(mrand.NewPCG(seed, 0))
	server := endpoint(t, "127.0.0.1", func(c *Config) { c.HandshakeTimeout = time.Second })
	client := endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	initial := firstInitial(t, server)
	from, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server.socket.local))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	received := make(chan int, 1)
	go func() { // what the flood is answered with
		total, buf := 0, make([]byte, 2000)
		for {
			n, err := from.Read(buf)
			if err != nil {
				received <- total
				return
			}
			total += n
		}
	}()

	most := 0
	look := func() { most = max(most, server.admission.Counts().HalfOpen) }
	sent := flood(from, initial, rng, look)
	look()
	if most > admission.RetryHalfOpenPerSource {
		t.Errorf("%d handshakes under way", most)
	}
	if most == 0 {
		t.Error("the flood did not reach the server")
	}
	roundTrip(t, dialed, make([]byte, 1<<20))
	again, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)
	roundTrip(t, again, []byte("hello"))

	eventually(t, "slots are given back", func() bool {
		return server.admission.Counts().HalfOpen == 0
	})
	from.SetReadDeadline(time.Now())
	if answered := <-received; answered > 3*sent {
		t.Errorf("%d bytes were answered with %d", sent, answered)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapInuse > 64<<20 {
		t.Errorf("%d MiB of heap in use", m.HeapInuse>>20)
	}
}
