// Package iroh is an iroh endpoint: a UDP socket, and a place at a relay, that is dialed by public key.
//
// An [Endpoint] dials and accepts QUIC connections (RFC 9000) with other iroh endpoints. Each side is an Ed25519 key, its
// endpoint id, and proves it in the TLS handshake by a raw public key (RFC 7250, package rpktls); addresses are hints
// about where to find the key and prove nothing. What is spoken on a connection is named by its ALPN, for example
// /iroh-bytes/4 (package blobs).
//
//	e, err := iroh.Listen(iroh.Config{SecretKey: secret, ALPNs: []string{"hello/1"}})
//	conn, err := e.Accept(ctx)                       // somebody who knows e.Addr()
//	conn, err := e.Dial(ctx, addr, "hello/1")        // somebody whose addr we know
//
// # On the wire
//
// QUIC version 1 with the transport parameters that follow. Times are the defaults of [Config].
//
//	max_idle_timeout            30 s; a PING every 5 s keeps the connection alive
//	initial_max_streams_bidi    100, initial_max_streams_uni 0 (the blobs protocol has none)
//	initial_max_data and stream windows: limits.go
//	connection ids              8 bytes
//	not sent                    multipath, NAT traversal, datagrams, address discovery (but to relays); so the peer does
//	                            without
//	not used                    0-RTT, session tickets, server_name
//
// A handshake has 10 s. A Retry (RFC 9000, section 8.1.2) is asked for when many handshakes are under way. All connections
// share one socket, so a datagram is told apart by its connection id and not by where it came from. On Linux datagrams
// are received coalesced (UDP_GRO) and sent in segments (UDP_SEGMENT), else in batches or one by one.
//
// A connection is closed with application code 0 and no reason when the endpoint closes.
//
// # Relays
//
// With relays configured (package relay), the closest becomes the endpoint's home: it stays connected to it, and others reach
// it there who know its id. Peers are dialed at their home, which need not be ours (package internal/home).
//
// What relays carry is on the same quic-go transport as UDP (package internal/paths), so that a peer that sends its first
// packet on all paths makes one connection. When such a packet comes through a relay it waits 50 ms for its twin on a direct
// path: iroh stays on the path from which the answer comes first, for as long as the connection lasts.
//
// # Addresses
//
// Others learn from [Endpoint.Addr] where the endpoint is: addresses of the configuration, the one that a port mapper has got at the
// gateway, those under which relays see the socket by QUIC address discovery (package internal/observe), and those of the
// machine's interfaces, which are looked at every 3 s. [Endpoint.AddrChanged] tells when to ask again, [Endpoint.Report] what
// works and what does not.
//
// # Dialing
//
// The addresses of a peer are tried in order, families taking turns, a new one every 100 ms or as soon as one failed
// (after RFC 8305). The connections to its relays are made at once, and handshakes
// through them follow after 400 ms, or when all addresses have failed. The first to complete the handshake
// has proven the id and wins; attempts that complete later are closed.
//
// When an address has none of either, when all have failed, or when none has answered for a second, [Config.Resolver] is asked
// where the peer is, and what it says joins the race as it comes. A peer that answers where it is said to be costs no look-up.
//
// A connection that was dialed through a relay moves to the first direct address on which the peer answers a PATH_CHALLENGE
// (RFC 9000, section 9). The addresses are probed after the dial and again after pauses of 1 to 60 s, with those that the
// resolver knows, and those that a server of this package tells in the handshake through the relay. Such a server opens its NAT, too,
// for a client that says there where others see it (package internal/punch): so two of them meet directly where both NATs show
// everybody the same address, though one knew no more than the other's id. A connection that has moved, or that was direct from
// the start, does not go to a relay when its path breaks: it ends with the idle timeout. One that a peer has dialed moves when the
// peer moves it. [Conn.Path] says which way a connection goes.
//
// # Trust
//
// Whoever holds a key may connect; what an id may do is up to the caller, who learns it from [Conn.RemoteID]. Nothing
// is trusted before the handshake is complete: sources, numbers and sizes are limited (limits.go). All that comes through one
// relay counts as one source. A relay can drop packets, and learns who talks to whom.
package iroh
