package paths

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// A BatchReader receives several datagrams at once, as ipv4.PacketConn does.
type BatchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

// UDP is what is asked of a UDP socket.
type UDP interface {
	quic.OOBCapablePacketConn
	SetWriteBuffer(bytes int) error
}

// A Deliverer handles packets that came by another way than the socket, as quic.Transport does. Nothing of datagrams is used after
// the return.
type Deliverer interface {
	Deliver(from net.Addr, datagrams []byte, segment int)
}

// Conn is a UDP socket on which there are relayed paths as well. It has what quic-go wants of a socket to use it to the
// full: batches, control messages and segmentation offload. What comes through relays is not read from it: it is delivered.
type Conn struct {
	UDP      // the socket: what is not below is its own
	reader   BatchReader
	idLength int
	to       Deliverer

	book    *book
	watched watches
	held    holding
	stopped atomic.Bool
}

// arrival is what came through a relay at once.
type arrival struct {
	from     *Route
	received *relay.Received
}

// New puts relayed paths on a socket. The reader reads the same socket. Connection ids that we give to peers are idLength bytes.
func New(udp UDP, reader BatchReader, idLength int) *Conn {
	return &Conn{
		UDP: udp, reader: reader, idLength: idLength,
		book: newBook(), held: holding{timers: map[*relay.Received]*time.Timer{}},
	}
}

// DeliverTo says who handles what comes through relays. It is called once, before Receive.
func (c *Conn) DeliverTo(to Deliverer) { c.to = to }

// Dial makes a route to an endpoint through a relay. The caller closes it.
func (c *Conn) Dial(via Sender, peer key.EndpointID) *Route { return c.book.dial(via, peer) }

// Relay is the relay through which an address leads that quic-go gave; zero for UDP addresses.
func (c *Conn) Relay(a net.Addr) relay.URL {
	if u, ok := a.(*net.UDPAddr); ok && relayedUDP(u) {
		return c.book.relay(u)
	}
	return relay.URL{}
}

// Receive takes what came through a relay.
func (c *Conn) Receive(via Sender, r *relay.Received) {
	a := arrival{c.book.heard(via, r.Peer), r}
	if firstPacket(r.Data, c.idLength) && c.held.keep(a, c.deliver) {
		return
	}
	c.deliver(a)
}

func (c *Conn) deliver(a arrival) {
	if !c.stopped.Load() {
		c.to.Deliver(&a.from.addr, a.received.Data, a.received.Segment)
	}
	a.received.Release()
}

// Stop makes Receive drop everything from now on, and waits for what was kept. The socket stays open.
func (c *Conn) Stop() {
	c.stopped.Store(true)
	c.held.end()
}

// ReadBatch fills ms with at least one UDP packet, or returns an error of the socket.
func (c *Conn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := c.reader.ReadBatch(ms, flags)
	if err != nil {
		return 0, err
	}
	c.sift(ms[:n])
	return n, nil
}

// ReadFrom is ReadBatch for one packet, on systems that know no batches.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.UDP.ReadFrom(b)
		if u, ok := addr.(*net.UDPAddr); ok && err == nil {
			n = c.watched.inspect(u, b[:n])
			if relayedUDP(u) || n == 0 {
				continue
			}
		}
		return n, addr, err
	}
}

// sift empties the packets that claim an address of ours, so that quic-go drops them, and shows others to those who watch.
func (c *Conn) sift(ms []ipv4.Message) {
	for i := range ms {
		u, ok := ms[i].Addr.(*net.UDPAddr)
		if !ok {
			continue
		}
		if relayedUDP(u) {
			ms[i].N = 0
			continue
		}
		if ms[i].N <= len(ms[i].Buffers[0]) {
			ms[i].N = c.watched.inspect(u, ms[i].Buffers[0][:ms[i].N])
		}
	}
}

// WriteMsgUDP sends b, of packets of the size that the control messages in oob give, to where addr stands for. What goes
// through a relay may be lost, for which there is no error.
func (c *Conn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if !relayedUDP(addr) {
		return c.UDP.WriteMsgUDP(b, oob, addr)
	}
	c.relay(b, sendSegment(oob), addr)
	return len(b), len(oob), nil
}

// WriteTo is WriteMsgUDP for one packet.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if u, ok := addr.(*net.UDPAddr); ok && relayedUDP(u) {
		c.relay(b, 0, u)
		return len(b), nil
	}
	return c.UDP.WriteTo(b, addr)
}

func (c *Conn) relay(b []byte, segment int, addr *net.UDPAddr) {
	if r := c.book.at(addr); r != nil {
		r.via.Send(relay.Datagrams{Peer: r.peer, Segment: segment, Data: b})
	}
}
