// Package wire is the relay protocol's frames, byte by byte: pure functions that parse and append, with no I/O.
//
// One WebSocket message, binary, is one frame: a type as a QUIC varint (RFC 9000, section 16), which is one byte for all
// types there are, and the body. A frame has at most [MaxFrame] bytes with its type. Numbers are big-endian unless they
// say postcard (package postcard, varints are LEB128). As iroh-relay 1.4.1 has it, protocols iroh-relay-v1 and -v2:
//
//	 0  server challenge         S→C  16 random bytes
//	 1  client auth              C→S  32 bytes endpoint id, 0x40 (postcard length), 64 bytes signature
//	 2  server confirms auth     S→C  empty
//	 3  server denies auth       S→C  postcard string, the reason
//	 4  datagram                 C→S  32 bytes destination, 1 byte ECN, the datagram
//	 5  datagram batch           C→S  32 bytes destination, 1 byte ECN, u16 segment size, datagrams back to back
//	 6  datagram                 S→C  32 bytes source, 1 byte ECN, the datagram
//	 7  datagram batch           S→C  32 bytes source, 1 byte ECN, u16 segment size, datagrams back to back
//	 8  endpoint gone            S→C  32 bytes endpoint id
//	 9  ping                     both 8 bytes
//	10  pong                     both the 8 bytes of the ping
//	11  health                   S→C  UTF-8 text; only v1
//	12  restarting               S→C  u32 ms until reconnecting, u32 ms for which to try
//	13  status                   S→C  1 byte, more may follow; only v2
//
// In a batch every datagram has the segment size but the last, which may be shorter. The ECN byte has the two bits of the
// IP header (RFC 3168); its upper bits are not looked at.
//
// Parsers borrow from their input and trust nothing in it. They refuse bodies of a wrong size, but for what follows a
// status, where the protocol leaves room. An error is one of this package's, unwrapped.
package wire
