package gro

import (
	"encoding/binary"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/iroh-ipfs/bridge/iroh/internal/paths"
)

const (
	// groBatch is how many coalesced datagrams one system call takes in at most, groBuffer the room for each: the
	// largest that IP can carry. An endpoint has groBatch × groBuffer bytes of it, whatever arrives.
	groBatch  = 4
	groBuffer = 64 << 10

	// groControl is the room for the control messages of a datagram: TOS or traffic class, packet info, segment size.
	groControl = 128
)

// Wrap lets the kernel coalesce received datagrams (UDP_GRO) if it can.
func Wrap(udp *net.UDPConn) (conn paths.UDP, offload bool) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return udp, false
	}
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		sockErr = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1)
	})
	if err != nil || sockErr != nil {
		return udp, false
	}
	return newGROConn(udp, ipv4.NewPacketConn(udp)), true
}

// A batchReader receives several datagrams at once, as ipv4.PacketConn does; it reads IPv6 sockets just as well.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

// A groConn is a UDP socket whose kernel coalesces datagrams of one source that arrive together, all of one size but for
// a shorter last one, into one. Its ReadBatch, which is the method that quic-go reads with, takes them apart again.
// Everything else is the socket's own. ReadBatch is for one goroutine at a time.
type groConn struct {
	*net.UDPConn
	reader batchReader
	msgs   []ipv4.Message // buffers of the reader
	queue  []ipv4.Message // received, the front one partly handed out
	rest   []byte         // what is left of the front one
	size   int            // of the packets in it
}

func newGROConn(udp *net.UDPConn, r batchReader) *groConn {
	c := &groConn{UDPConn: udp, reader: r, msgs: make([]ipv4.Message, groBatch)}
	for i := range c.msgs {
		c.msgs[i].Buffers = [][]byte{make([]byte, groBuffer)}
		c.msgs[i].OOB = make([]byte, groControl)
	}
	return c
}

// ReadBatch fills ms with at least one packet, or returns an error. Packets that are larger than their buffer are cut,
// as the kernel would do it; quic-go drops them. Empty ones are left out.
func (c *groConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n := 0
	for n == 0 {
		if len(c.queue) == 0 {
			got, err := c.reader.ReadBatch(c.msgs, flags)
			if err != nil {
				return 0, err
			}
			c.queue = c.msgs[:got]
			c.open()
		}
		for n < len(ms) && len(c.queue) > 0 {
			n += c.take(&ms[n])
		}
	}
	return n, nil
}

// open makes the front of the queue the datagram that is handed out.
func (c *groConn) open() {
	c.rest = nil
	if len(c.queue) > 0 && c.queue[0].Flags&unix.MSG_CTRUNC == 0 { // without its segment size it is of no use
		front := &c.queue[0]
		c.rest, c.size = front.Buffers[0][:front.N], segmentSize(front.OOB[:front.NN])
	}
}

// take puts the next packet of the front datagram into m. It returns how many packets that were: 1, or 0 if the datagram
// had none left. A datagram without anything left leaves the queue.
func (c *groConn) take(m *ipv4.Message) int {
	taken := 0
	if len(c.rest) > 0 {
		from := &c.queue[0]
		var packet []byte
		packet, c.rest = cut(c.rest, c.size)
		m.N = copy(m.Buffers[0], packet)
		m.NN = copy(m.OOB, from.OOB[:from.NN])
		m.Addr, m.Flags = from.Addr, from.Flags
		taken = 1
	}
	if len(c.rest) == 0 {
		c.queue = c.queue[1:]
		c.open()
	}
	return taken
}

// cut returns the first packet of a datagram that was coalesced from packets of size bytes, and what comes after it. A
// size that is not positive stands for a datagram that was not coalesced.
func cut(datagram []byte, size int) (packet, rest []byte) {
	if size <= 0 || size >= len(datagram) {
		return datagram, nil
	}
	return datagram[:size], datagram[size:]
}

// segmentSize finds the size of the packets of a datagram in its control messages: level SOL_UDP, type UDP_GRO, a C int
// in the byte order of the machine. Zero means that there is none. A system call gives the control messages, so they are
// well-formed; anything else ends the search.
func segmentSize(control []byte) int {
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(int32(binary.NativeEndian.Uint32(data)))
		}
		control = rest
	}
	return 0
}
