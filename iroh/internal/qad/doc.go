// Package qad is what QUIC address discovery needs on top of a QUIC stack that has never heard of it: a relay's QAD server tells
// a client which address it sees the client's packets come from (draft-ietf-quic-address-discovery, in the numbers of iroh 1.4).
//
// # On the wire
//
// A connection of QUIC version 1 with the ALPN /iroh-qad/0, on which no stream may be opened. The server has an ordinary
// certificate for the relay's host name. The client sends one more transport parameter:
//
//	0x9f81a176   observed_address, a varint: 0 sends reports, 1 wants reports, 2 both. A client sends 1
//
// and the server, in a 1-RTT packet as soon as it has the keys for one and whenever the address changes, a frame:
//
//	0x9f81a6 or 0x9f81a7   OBSERVED_ADDR for IPv4 or IPv6
//	varint                 sequence number, rising
//	4 or 16 bytes          address
//	2 bytes                port, big-endian
//
// quic-go neither sends parameters nor takes frames that it does not know, and would close the connection. But it does not do
// TLS itself. A [Session] is a TLS engine around that of crypto/tls that adds the parameter to those that quic-go sets, and that
// sees the secret of the server's 1-RTT packets go by. And it looks at the server's packets before quic-go gets them: it takes
// off their protection (RFC 9001, section 5), reads the frame, puts a PING in its place, which has to be acknowledged as
// well, and protects the packet again as it was. Everything else, ends and losses of packets among it, stays quic-go's business.
//
// Packets that come before the secret are kept from quic-go, and a few are kept for us: quic-go would keep them and stumble later.
// The server sends what was in them once more.
//
// # Trust
//
// The server is who the certificate says. It can tell us any address, which is a claim like every other one; and nobody else can
// say anything, for a packet that does not open with the secret is not looked into. All that is kept is bounded (limits.go).
package qad
