package relay

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// outgoing are datagrams that wait to be sent.
type outgoing struct {
	head Datagrams
	buf  []byte // room for the head of their frame, and then head.Data
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
	o.head.Data = o.buf[wire.Headroom:]
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

// merge appends what n has if it can be in one frame with what o has.
func (o *outgoing) merge(n *outgoing) bool {
	if !o.head.Takes(&n.head) {
		return false
	}
	o.buf = append(o.buf, n.head.Data...)
	o.head.Data = o.buf[wire.Headroom:]
	return true
}

// take returns room for what comes.
func (c *Client) take() *Received { return c.received.Get().(*Received) }
