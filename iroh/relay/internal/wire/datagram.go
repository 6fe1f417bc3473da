package wire

import (
	"encoding/binary"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Datagrams are one or more datagrams to or from one endpoint.
type Datagrams struct {
	Peer    key.EndpointID // destination or source
	ECN     uint8          // the two bits of the IP header
	Segment int            // size of each datagram but the last; zero: Data is one datagram
	Data    []byte
}

// Next returns the first datagram of d and what comes after it.
func (d *Datagrams) Next() (datagram []byte) {
	n := len(d.Data)
	if d.Segment > 0 && d.Segment < n {
		n = d.Segment
	}
	datagram, d.Data = d.Data[:n], d.Data[n:]
	return datagram
}

// Takes reports whether the datagrams of n can follow those of d as one: of the same peer, with all of d of one size and none
// of n larger.
func (d *Datagrams) Takes(n *Datagrams) bool {
	size, more := d.segment(), n.segment()
	return d.Peer == n.Peer && d.ECN == n.ECN && len(d.Data)%size == 0 && len(d.Data)+len(n.Data) <= MaxDatagrams &&
		(more == size || more < size && more == len(n.Data))
}

// segment is the size of every datagram but the last.
func (d *Datagrams) segment() int {
	if d.Segment == 0 || d.Segment > len(d.Data) {
		return len(d.Data)
	}
	return d.Segment
}

// ParseDatagrams reads the body of a frame of one of the four datagram types. What it returns has at least one byte of data,
// which belongs to body. A batch with a segment size of zero is one datagram, as iroh-relay has it.
func ParseDatagrams(t Type, body []byte) (d Datagrams, err error) {
	head := datagramHead - 1
	batch := t == ClientToRelayBatch || t == RelayToClientBatch
	if batch {
		head = batchHead - 1
	} else if t != ClientToRelayDatagram && t != RelayToClientDatagram {
		return d, ErrType
	}
	if len(body) <= head || 1+len(body) > MaxFrame {
		return d, ErrSize
	}
	copy(d.Peer[:], body)
	d.ECN = body[32] & 3
	if batch {
		d.Segment = int(binary.BigEndian.Uint16(body[33:]))
	}
	d.Data = body[head:]
	return d, nil
}

// Headroom is how many bytes Seal needs in front of datagrams.
const Headroom = batchHead

// Seal makes a frame to the relay of b, which has Headroom bytes for it to fill and then d.Data, and returns the part of b
// that is the frame: a batch if there is more than one datagram. There must be from one byte to MaxDatagrams of them; the
// relay would drop the receiver else.
func Seal(b []byte, d Datagrams) []byte { return seal(b, ClientToRelayDatagram, ClientToRelayBatch, d) }

func seal(b []byte, single, batch Type, d Datagrams) []byte {
	t := batch
	if d.Segment == 0 || d.Segment >= len(b)-Headroom {
		t, b = single, b[batchHead-datagramHead:]
	}
	b[0] = byte(t)
	copy(b[1:], d.Peer[:])
	b[33] = d.ECN & 3
	if t == batch {
		binary.BigEndian.PutUint16(b[34:], uint16(d.Segment))
	}
	return b
}

// AppendToRelay appends what Seal makes of d.
func AppendToRelay(b []byte, d Datagrams) []byte {
	return appendDatagrams(b, ClientToRelayDatagram, ClientToRelayBatch, d)
}

// AppendFromRelay appends the frame that the relay makes of d for the receiver.
func AppendFromRelay(b []byte, d Datagrams) []byte {
	return appendDatagrams(b, RelayToClientDatagram, RelayToClientBatch, d)
}

func appendDatagrams(b []byte, single, batch Type, d Datagrams) []byte {
	at := len(b)
	b = append(append(b, make([]byte, Headroom)...), d.Data...)
	frame := seal(b[at:], single, batch, d)
	return append(b[:at], frame...)
}
