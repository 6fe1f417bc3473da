package qad

import (
	"encoding/binary"
	"net/netip"
)

// Frame types (RFC 9000, section 19; RFC 9221; and iroh).
const (
	framePing           = 0x01
	frameAck            = 0x02
	frameAckECN         = 0x03
	frameResetStream    = 0x04
	frameStopSending    = 0x05
	frameCrypto         = 0x06
	frameNewToken       = 0x07
	frameStream         = 0x08 // to 0x0f
	frameMaxData        = 0x10
	frameMaxStreamData  = 0x11
	frameMaxStreams     = 0x12 // and 0x13
	frameDataBlocked    = 0x14
	frameStreamBlocked  = 0x15
	frameStreamsBlocked = 0x16 // and 0x17
	frameNewID          = 0x18
	frameRetireID       = 0x19
	framePathChallenge  = 0x1a
	framePathResponse   = 0x1b
	frameClose          = 0x1c
	frameAppClose       = 0x1d
	frameHandshakeDone  = 0x1e
	frameObservedV4     = 0x9f81a6
	frameObservedV6     = 0x9f81a7
)

// report is an OBSERVED_ADDR frame and where it is in the payload of its packet.
type report struct {
	seq        uint64
	addr       netip.AddrPort
	start, end int
}

// reports finds the OBSERVED_ADDR frames in the payload of a packet. A frame of another kind that is unknown or malformed ends the
// search, since nobody can tell where it ends; quic-go will have something to say about it.
func reports(payload []byte) []report {
	var out []report
	c := cursor(payload)
	for range maxFrames {
		for len(c) > 0 && c[0] == 0 { // PADDING
			c = c[1:]
		}
		start := len(payload) - len(c)
		typ, ok := c.varint()
		if !ok {
			break
		}
		if typ != frameObservedV4 && typ != frameObservedV6 {
			if !c.skip(typ) {
				break
			}
			continue
		}
		size := uint64(4)
		if typ == frameObservedV6 {
			size = 16
		}
		seq, ok := c.varint()
		if !ok {
			break
		}
		body, ok := c.bytes(size + 2)
		if !ok {
			break
		}
		ip, _ := netip.AddrFromSlice(body[:size])
		addr := netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(body[size:]))
		out = append(out, report{seq: seq, addr: addr, start: start, end: len(payload) - len(c)})
	}
	return out
}

// fields says how many varints the frames of a type consist of that consist of nothing else.
func fields(typ uint64) (n int, ok bool) {
	switch typ {
	case framePing, frameHandshakeDone:
		return 0, true
	case frameMaxData, frameMaxStreams, frameMaxStreams + 1, frameDataBlocked, frameStreamsBlocked, frameStreamsBlocked + 1, frameRetireID:
		return 1, true
	case frameStopSending, frameMaxStreamData, frameStreamBlocked:
		return 2, true
	case frameResetStream:
		return 3, true
	}
	return 0, false
}

// skip passes the rest of a frame.
func (c *cursor) skip(typ uint64) bool {
	if n, ok := fields(typ); ok {
		return c.varints(uint64(n))
	}
	var ok bool
	switch typ {
	case frameAck, frameAckECN:
		ok = c.ack(typ == frameAckECN)
	case frameCrypto:
		if ok = c.varints(1); ok {
			_, ok = c.sized()
		}
	case frameNewToken:
		_, ok = c.sized()
	case frameNewID: // sequence number, retire prior to, length (1 byte), id, token
		var n []byte
		if ok = c.varints(2); ok {
			if n, ok = c.bytes(1); ok {
				_, ok = c.bytes(uint64(n[0]) + 16)
			}
		}
	case framePathChallenge, framePathResponse:
		_, ok = c.bytes(8)
	case frameClose, frameAppClose:
		n := uint64(2)
		if typ == frameAppClose {
			n = 1
		}
		if ok = c.varints(n); ok {
			_, ok = c.sized()
		}
	default:
		ok = typ >= frameStream && typ < frameStream+8 && c.stream(typ)
	}
	return ok
}

// varints passes n of them.
func (c *cursor) varints(n uint64) bool {
	for ; n > 0; n-- {
		if _, ok := c.varint(); !ok {
			return false
		}
	}
	return true
}

// ack passes largest, delay, count and first range; a gap and a length for each further range; and three counters of ECN.
func (c *cursor) ack(ecn bool) bool {
	if !c.varints(2) {
		return false
	}
	count, ok := c.varint()
	if !ok || count > uint64(len(*c)) || !c.varints(1+2*count) {
		return false
	}
	return !ecn || c.varints(3)
}

// stream passes stream id, offset (if bit 2 of the type is set), length (bit 1; without it the frame fills the packet), data.
func (c *cursor) stream(typ uint64) bool {
	n := uint64(1)
	if typ&4 != 0 {
		n = 2
	}
	if !c.varints(n) {
		return false
	}
	if typ&2 == 0 {
		*c = nil
		return true
	}
	_, ok := c.sized()
	return ok
}
