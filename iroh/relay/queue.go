package relay

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// outgoing are datagrams that wait to be sent. buf begins with room for the head of their frame.
type outgoing struct {
	head Datagrams // without Data, which is in buf
	buf  []byte
	at   time.Time
}

// Send queues a copy of d for the relay, which carries it to d.Peer if that is connected there. It reports whether d was
// queued; it is not if its size is not from 1 to MaxDatagrams, or if the queue is full and stays so: for 200 ms while
// connected, at once while not. What was queued may still be lost.
func (c *Client) Send(d Datagrams) bool {
	if len(d.Data) == 0 || len(d.Data) > MaxDatagrams || d.Segment < 0 || d.Segment > MaxDatagrams {
		return false
	}
	now := time.Now()
	c.used.Store(now.UnixNano())
	o := c.spare.Get().(*outgoing)
	o.at = now
	o.head = Datagrams{Peer: d.Peer, ECN: d.ECN & 3, Segment: d.Segment}
	if d.Segment == 0 || d.Segment > len(d.Data) {
		o.head.Segment = len(d.Data)
	}
	o.buf = append(append(o.buf[:0], make([]byte, wire.Headroom)...), d.Data...)
	select {
	case c.queue <- o:
		return true
	default:
	}
	if c.up.Load() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case c.queue <- o:
			return true
		case <-timer.C:
		case <-c.closing:
		}
	}
	c.recycle(o)
	return false
}

func (c *Client) recycle(o *outgoing) { c.spare.Put(o) }

// next takes what is queued, or returns nil.
func (c *Client) next() *outgoing {
	select {
	case o := <-c.queue:
		return o
	default:
		return nil
	}
}

// merge appends what n has if it can be in one frame with what o has: to the same peer, with all datagrams of o of one
// size, and none of n larger.
func (o *outgoing) merge(n *outgoing) bool {
	size := len(o.buf) - wire.Headroom
	if o.head.Peer != n.head.Peer || o.head.ECN != n.head.ECN || size%o.head.Segment != 0 ||
		len(o.buf)+len(n.buf) > MaxDatagrams {
		return false
	}
	more := n.buf[wire.Headroom:]
	if n.head.Segment != o.head.Segment && (len(more) > n.head.Segment || n.head.Segment > o.head.Segment) {
		return false
	}
	o.buf = append(o.buf, more...)
	return true
}

// take returns room for what comes.
func (c *Client) take() *Received { return c.received.Get().(*Received) }
