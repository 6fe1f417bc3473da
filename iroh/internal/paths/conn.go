package paths

import (
	"errors"
	"net"
	"os"
	"sync"
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

// Conn is a UDP socket on which there are relayed paths as well. It has what quic-go wants of a socket to use it to the
// full: batches, control messages and segmentation offload.
type Conn struct {
	UDP      // the socket: what is not below is its own
	reader   BatchReader
	idLength int

	book    *book
	watched watches
	inbox   chan arrival
	held    holding
	done    chan struct{}
	stop    sync.Once

	// Of the reader alone.
	now   arrival // what is being handed out
	turns int     // how often relayed packets were read since UDP was

	sleeping atomic.Bool // the reader waits for UDP, or is about to
	deadline sync.Mutex
	owners   time.Time // the deadline that the owner has set
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
		book: newBook(), inbox: make(chan arrival, inboxFrames), done: make(chan struct{}), held: holding{timers: map[*relay.Received]*time.Timer{}},
	}
}

// Dial makes a route to an endpoint through a relay. The caller closes it.
func (c *Conn) Dial(via Sender, peer key.EndpointID) *Route { return c.book.dial(via, peer) }

// Relay is the relay through which an address leads that quic-go gave; zero for UDP addresses.
func (c *Conn) Relay(a net.Addr) relay.URL {
	if u, ok := a.(*net.UDPAddr); ok && relayedUDP(u) {
		return c.book.relay(u)
	}
	return relay.URL{}
}

// Receive takes what came through a relay. It may wait while much else is waiting.
func (c *Conn) Receive(via Sender, r *relay.Received) {
	a := arrival{c.book.heard(via, r.Peer), r}
	if firstPacket(r.Data, c.idLength) && c.held.keep(a, c.deliver) {
		return
	}
	c.deliver(a)
}

func (c *Conn) deliver(a arrival) {
	select {
	case c.inbox <- a:
		c.wake()
	case <-c.done:
		a.received.Release()
	}
}

// Stop makes Receive drop everything from now on, and waits for what was kept. The socket stays open.
func (c *Conn) Stop() {
	c.stop.Do(func() { close(c.done) })
	c.held.end()
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

// SetReadDeadline is the owner's way to stop reading.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.owners = t
	return c.UDP.SetReadDeadline(t)
}

// wake makes a reader that waits for UDP look at the inbox.
func (c *Conn) wake() {
	if !c.sleeping.CompareAndSwap(true, false) {
		return
	}
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.UDP.SetReadDeadline(time.Unix(1, 0))
}

// woken reports whether err comes of wake and not of the owner's deadline, and undoes it.
func (c *Conn) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if !c.owners.IsZero() && !time.Now().Before(c.owners) {
		return false
	}
	return c.UDP.SetReadDeadline(c.owners) == nil
}
