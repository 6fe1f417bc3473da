// Package punch lets two endpoints of this package behind NATs meet directly, where QUIC NAT traversal in iroh's way is not to be had:
// that one needs multipath, which quic-go lacks.
//
// A client that has to come through a relay says so in its handshake, and where others see it. The server answers with the direct
// addresses that it has, as iroh's nodes tell each other theirs after connecting, and sends something to where the client is seen, which
// opens its own NAT. The client probes the server's addresses, which opens its NAT for them, and gets through.
//
// # On the wire
//
// A transport parameter (RFC 9000, section 18) of the client, and of the server that was sent one; everybody else ignores it:
//
//	0x3272696467657075   id, a varint of 8 bytes
//	length               a varint; 0 if the sender knows no address
//	1 byte               4 or 6, then 4 or 16 bytes of an address and 2 of a port, big-endian; at most four times, of a server twelve
//
// The server opens its NAT by datagrams of one zero byte, which no QUIC stack takes for a packet (RFC 9000, section 17: the fixed bit).
//
// # Trust
//
// Nothing is done before the handshake is complete. Then each side has signed its own addresses with the key of its id, together with
// all else that it said. It may lie: a server sends at most twelve bytes in twelve datagrams to where a client says, which costs the
// client a handshake of several kilobytes. Addresses of private networks are not taken, so that a stranger cannot have something sent
// inside of ours. A client probes what the server says as it does what a ticket says. Whoever completes a handshake through a relay is
// told the addresses of a server that has not been told to hide them.
package punch

import (
	"encoding/binary"
	"net/netip"

	"github.com/quic-go/quic-go/quicvarint"
)

const (
	paramID = 0x3272696467657075

	// maxAddrs bounds the addresses of one client: those of both families, and two more while a NAT changes its mind. Against
	// clients that make us send to many strangers.
	maxAddrs = 4

	// maxTold bounds those of a server: of both families, mapped, seen, and of some interfaces. Against servers that make us probe many
	// strangers.
	maxTold = 12

	// maxParams bounds the parameters that are read. Against clients that send thousands of them.
	maxParams = 64
)

// appendParam adds addresses to transport parameters, no more than limit.
func appendParam(params []byte, addrs []netip.AddrPort, limit int) []byte {
	var value []byte
	for _, a := range addrs[:min(len(addrs), limit)] {
		ip := a.Addr().Unmap()
		family := byte(6)
		if ip.Is4() {
			family = 4
		}
		value = append(append(value, family), ip.AsSlice()...)
		value = binary.BigEndian.AppendUint16(value, a.Port())
	}
	params = quicvarint.Append(params, paramID)
	params = quicvarint.Append(params, uint64(len(value)))
	return append(params, value...)
}

// parse finds the addresses in transport parameters, none if anything is wrong with them or there are more than limit. there says whether
// the parameter is.
func parse(params []byte, limit int) (addrs []netip.AddrPort, there bool) {
	for range maxParams {
		id, n, err := quicvarint.Parse(params)
		if err != nil {
			return nil, false
		}
		params = params[n:]
		size, n, err := quicvarint.Parse(params)
		if err != nil || size > uint64(len(params)-n) {
			return nil, false
		}
		value := params[n : n+int(size)]
		if id == paramID {
			return parseValue(value, limit), true
		}
		params = params[n+int(size):]
	}
	return nil, false
}

func parseValue(b []byte, limit int) []netip.AddrPort {
	var out []netip.AddrPort
	for len(b) > 0 {
		size := map[byte]int{4: 4, 6: 16}[b[0]]
		if size == 0 || len(b) < 1+size+2 || len(out) == limit {
			return nil
		}
		ip, _ := netip.AddrFromSlice(b[1 : 1+size])
		if ip.Is4In6() {
			return nil
		}
		out = append(out, netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[1+size:])))
		b = b[1+size+2:]
	}
	return out
}
