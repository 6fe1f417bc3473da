package paths

import (
	"net"

	"golang.org/x/net/ipv4"
)

// ReadBatch fills ms with at least one packet of either kind, or returns an error of the socket. It is for one goroutine at
// a time. Packets that are larger than their buffer are cut, as the kernel would do it; quic-go drops them.
func (c *Conn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		if canPeek && c.turns >= udpTurn {
			c.turns = 0
			if n, err := c.reader.ReadBatch(ms, flags|dontWait); err == nil && n > 0 {
				c.sift(ms[:n])
				return n, nil
			}
		}
		n := 0
		for n < len(ms) && c.open() {
			m := &ms[n]
			m.N, m.NN, m.Flags, m.Addr = copy(m.Buffers[0], c.next()), 0, 0, &c.now.from.addr
			n++
		}
		if n > 0 {
			c.turns++
			return n, nil
		}
		c.turns = 0
		c.sleeping.Store(true)
		if len(c.inbox) > 0 { // it came before anybody knew that we sleep
			c.sleeping.Store(false)
			continue
		}
		n, err := c.reader.ReadBatch(ms, flags)
		c.sleeping.Store(false)
		if err == nil {
			c.sift(ms[:n])
			return n, nil
		}
		if !c.woken(err) {
			return 0, err
		}
	}
}

// ReadFrom is ReadBatch for one packet, on systems that know no batches.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.sleeping.Store(true)
		if c.open() {
			c.sleeping.Store(false)
			return copy(b, c.next()), &c.now.from.addr, nil
		}
		n, addr, err := c.UDP.ReadFrom(b)
		c.sleeping.Store(false)
		if err == nil {
			if u, ok := addr.(*net.UDPAddr); ok {
				n = c.watched.inspect(u, b[:n])
				if relayedUDP(u) || n == 0 {
					continue
				}
			}
			return n, addr, nil
		}
		if err != nil && !c.woken(err) {
			return n, addr, err
		}
	}
}

// open makes sure that there is a packet in now, if there is one anywhere.
func (c *Conn) open() bool {
	if c.now.received != nil {
		if len(c.now.received.Data) > 0 {
			return true
		}
		c.now.received.Release()
		c.now.received = nil
	}
	select {
	case c.now = <-c.inbox:
		return true // no arrival is empty
	default:
		return false
	}
}

func (c *Conn) next() []byte { return c.now.received.Next() }

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
