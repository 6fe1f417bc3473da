// Package iroh is an iroh endpoint: a UDP socket that is dialed by public key.
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
//	not sent                    multipath, NAT traversal, datagrams, address discovery; so the peer does without
//	not used                    0-RTT, session tickets, server_name
//
// A handshake has 10 s. A Retry (RFC 9000, section 8.1.2) is asked for when many handshakes are under way. All connections
// share one socket, so a datagram is told apart by its connection id and not by where it came from. On Linux datagrams
// are received coalesced (UDP_GRO) and sent in segments (UDP_SEGMENT), else in batches or one by one.
//
// A connection is closed with application code 0 and no reason when the endpoint closes.
//
// # Dialing
//
// The addresses of a peer are tried in order, families taking turns, a new one every 100 ms or as soon as one failed
// (after RFC 8305). The first to complete the handshake has proven the id and wins; attempts that complete later are closed.
// Relays are not supported by this version: an address that names only relays cannot be dialed.
//
// # Trust
//
// Whoever holds a key may connect; what an id may do is up to the caller, who learns it from [Conn.RemoteID]. Nothing
// is trusted before the handshake is complete: sources, numbers and sizes are limited (limits.go).
package iroh
