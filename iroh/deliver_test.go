package iroh

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// wire is a socket without a network: what is written on it is gathered, and delivered to the transport at the other end.
type wire struct {
	net.PacketConn // only its read deadline and its address are used; nothing comes
	from           net.Addr
	sent           chan []byte
}

func (w wire) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case w.sent <- bytes.Clone(b):
	default: // lost
	}
	return len(b), nil
}

// carry delivers what w has sent, as many packets of one size at once as there are, among things that are no packets.
func (w wire) carry(ctx context.Context, to *quic.Transport) {
	var next []byte
	for {
		data := next
		next = nil
		if data == nil {
			select {
			case data = <-w.sent:
			case <-ctx.Done():
				return
			}
		}
		segment := len(data)
		for next == nil && len(data)%segment == 0 && len(data) < 32<<10 {
			select {
			case p := <-w.sent:
				if len(p) > segment {
					next = p
				} else {
					data = append(data, p...)
				}
				continue
			default:
			}
			break
		}
		to.Deliver(w.from, data, segment)
		to.Deliver(w.from, nil, segment)
		to.Deliver(w.from, make([]byte, 1<<16), 0)                  // larger than any packet
		to.Deliver(w.from, []byte("\x40 an id that nobody has"), 0) // and no packet
		to.Deliver(w.from, []byte("\x40"), 0)                       // cut
		to.Deliver(w.from, data[:min(20, len(data))], 7)
	}
}

// Connections can be made by delivered packets alone, by transports whose sockets bring nothing.
func TestDeliver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var ends [2]wire
	var transports [2]*quic.Transport
	for i := range ends {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		ends[i] = wire{socket, &net.UDPAddr{IP: net.IPv4(10, 0, 0, byte(i+1)), Port: 1}, make(chan []byte, 1024)}
		transports[i] = &quic.Transport{Conn: ends[i]}
		defer transports[i].Close()
	}
	var carrying sync.WaitGroup
	defer carrying.Wait()
	defer cancel()
	for i := range ends {
		carrying.Go(func() { ends[i].carry(ctx, transports[1-i]) })
		carrying.Go(func() { ends[i].carry(ctx, transports[1-i]) }) // and out of order
	}
	server, client := x509Configs(t)
	ln, err := transports[1].Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 4<<20)
	rand.Read(want)
	carrying.Go(func() {
		c, err := ln.Accept(ctx)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		s, err := c.OpenUniStreamSync(ctx)
		if err == nil {
			_, err = s.Write(want)
		}
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Errorf("send: %v", err)
		}
		<-ctx.Done()
	})
	client.ServerName = "127.0.0.1"
	c, err := transports[0].Dial(ctx, ends[1].from, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.AcceptUniStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	transports[0].Close()
	transports[0].Deliver(ends[1].from, []byte("\x40 to a transport that is closed"), 0)
}
