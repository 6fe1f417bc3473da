package paths

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// Detour is the socket of a Conn for writing by UDP what is for relayed paths, to where their routes say. Nothing is ever
// received on it: that comes on the Conn.
type Detour struct {
	UDP
	book *book

	mu      sync.Mutex
	stopped chan struct{} // closed while a read deadline is set
	isSet   bool
}

// Detour returns a socket over that of c. It is of no use once c is closed.
func (c *Conn) Detour() *Detour {
	return &Detour{UDP: c.UDP, book: c.book, stopped: make(chan struct{})}
}

// WriteMsgUDP sends b to the direct address of the route that addr is. Without one it is lost, for which there is no error.
func (d *Detour) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	to := d.direct(addr)
	if to == nil {
		return len(b), len(oob), nil
	}
	return d.UDP.WriteMsgUDP(b, oob, to)
}

// WriteTo is WriteMsgUDP for one packet.
func (d *Detour) WriteTo(b []byte, addr net.Addr) (int, error) {
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return len(b), nil
	}
	to := d.direct(u)
	if to == nil {
		return len(b), nil
	}
	return d.UDP.WriteTo(b, to)
}

func (d *Detour) direct(addr *net.UDPAddr) *net.UDPAddr {
	if !relayedUDP(addr) {
		return nil
	}
	if r := d.book.at(addr); r != nil {
		return r.direct.Load()
	}
	return nil
}

// SetReadDeadline ends reading if t is set, whatever it is, and allows it again if t is zero.
func (d *Detour) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !t.IsZero() && !d.isSet:
		close(d.stopped)
	case t.IsZero() && d.isSet:
		d.stopped = make(chan struct{})
	}
	d.isSet = !t.IsZero()
	return nil
}

// ReadBatch waits until a read deadline is set.
func (d *Detour) ReadBatch([]ipv4.Message, int) (int, error) { return 0, d.wait() }

// ReadFrom does the same.
func (d *Detour) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, d.wait() }

func (d *Detour) wait() error {
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	<-stopped
	return &net.OpError{Op: "read", Net: "udp", Err: os.ErrDeadlineExceeded}
}
