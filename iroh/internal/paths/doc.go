// Package paths puts packets that relays carry under the same roof as those of a UDP socket: a [Conn] is the socket that
// quic-go reads and writes, and some of the addresses on it stand for an endpoint at a relay.
//
// # Addresses
//
// quic-go knows UDP addresses only. A relayed path is one of an IPv6 range that is never on any wire, port 1:
//
//	1 byte   0xfd: unique local (RFC 4193)
//	3 bytes  0x150a51
//	4 bytes  number of the relay, big-endian, so that all that come through one relay are in one /64
//	8 bytes  a keyed hash of the endpoint's id (who sent to us), or a number (whom we dial)
//
// Who sends to us through a relay gets an address, which is forgotten when many others have sent since; it gets the same one
// again. An address that we dial lasts until its [Route] is closed.
//
// # Reading
//
// What comes through relays is not read by quic-go from the socket: [Conn.Receive] delivers it to quic-go's transport, in the
// goroutine that reads from the relay. So nobody has to be woken to read it, and neither source waits for the other. What a
// connection has not looked at yet is bounded by quic-go, as for UDP.
//
// An iroh endpoint sends its first packet on all paths at once, and stays on the one from which the answer comes first. So
// the first packets of a connection are kept for a moment when they come through a relay: those of a direct path, on
// which they are about to arrive, then come first. They are told by their header alone: Initial (RFC 9000, section 17.2.2),
// version 1, with a destination id that is not as long as our own ones are.
//
// # Moving
//
// A client may move a connection to a path that it has proven (RFC 9000, section 9), but quic-go only takes another
// socket for it, not another address of the peer. [Detour] is that socket: what is written on it to the address of a
// Route goes by UDP to the direct address that the Route has.
//
// # Watching
//
// Who has to know something that quic-go does not tell, such as what a relay's address discovery says (package qad), sees the
// datagrams of one address first, by [Conn.Watch].
//
// # Trust
//
// Nothing here is proven. Who a packet is from is what the relay says; QUIC finds out. A UDP packet with a source out of the
// range above is from somebody who forges it, and is dropped.
package paths
