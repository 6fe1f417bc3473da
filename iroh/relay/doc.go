// Package relay is a client of iroh's relays: servers that carry datagrams between endpoints by their ids, for those who
// cannot reach each other directly. What they carry is QUIC, which they can drop but neither read nor change.
//
//	c, err := relay.New(relay.Config{URL: url, SecretKey: secret, Receive: func(r *relay.Received) { … }})
//	go c.Run(ctx)                                      // connects, and reconnects, until ctx is done or Close
//	c.Send(relay.Datagrams{Peer: id, Data: packet})    // to an endpoint that is connected to the same relay
//
// # On the wire
//
// A relay is named by its [URL], http or https. The client makes a WebSocket connection (RFC 6455) to the path /relay
// there, with the subprotocols iroh-relay-v2 and iroh-relay-v1, and every binary message is a frame (package wire has
// them). It does not follow redirects and uses no HTTP proxy.
//
// The client proves its endpoint id by an Ed25519 signature. Over TLS it sends one of exported keying material
// (RFC 8446, section 7.5; label "iroh-relay handshake v1", context the id, 32 bytes) in the header
// x-iroh-relay-client-auth-v1. A relay that cannot verify it, such as one behind a proxy, and every one over plain HTTP,
// sends a challenge of 16 bytes, and the client signs the BLAKE3 key of it (derive-key mode, context
// "iroh-relay handshake v1 challenge signature"). The relay then confirms or denies.
//
// Both sides ping. The client does every 15 s, and connects anew when nothing at all came for 5 s after it, or when one has not
// even been sent for 30 s. Attempts to connect have 10 s, and the time between them doubles from 50 ms to 16 s, give or take a
// half.
//
// Datagrams may be lost, as everywhere: those to endpoints that are not connected to the relay are, without a notice.
// Datagrams of one size to the same endpoint travel in one frame, as many as are waiting; a frame has at most 64 KiB. Those
// of one size from the same endpoint that came at the same time are received as one.
//
// # Trust
//
// A relay is trusted with nothing but to carry datagrams: it says from whom one is, and may lie. The peer's id is proven by
// the handshake inside QUIC. What a relay can make us do is bounded in limits.go. A relay learns our id and IP address, and
// with whom we talk.
package relay
