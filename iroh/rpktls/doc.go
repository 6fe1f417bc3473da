// Package rpktls is a TLS 1.3 engine for QUIC whose only credentials are Ed25519 raw public keys.
//
// Go's crypto/tls has no raw public keys, and iroh has nothing else. This package does the TLS half of such a QUIC
// handshake and no more: it exchanges handshake messages and yields traffic secrets. It has no record layer, does no
// I/O and starts no goroutine; the QUIC implementation carries its messages in CRYPTO frames, encrypts packets with the
// secrets, and turns its errors into CONNECTION_CLOSE codes. [Conn] has the shape of [tls.QUICConn], so that it can
// stand in its place (see [TLSConfig]) and can be driven message by message in tests.
//
// # Profile
//
// RFC 8446 (TLS 1.3), RFC 9001 (in QUIC), RFC 7250 (raw public keys), RFC 7301 (ALPN), and of those only:
//
//	suites       TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256
//	groups       X25519 alone, so that a ClientHello fits into one datagram; HelloRetryRequest in both roles
//	signatures   ed25519 (0x0807) alone, verified strictly: no small-order key, no non-canonical encoding
//	credentials  one raw public key each way, always: both sides prove their key or there is no connection
//	ALPN         required
//
// Never: X.509, RSA, renegotiation, resumption, 0-RTT, post-handshake authentication, key update (QUIC has its own),
// server_name (not sent; ignored when received).
//
// # Messages
//
// The layout of each message is in internal/wire.
//
//	client                                server                              level
//	ClientHello                    →                                          Initial
//	                               ←      [HelloRetryRequest]                 Initial
//	[ClientHello]                  →                                          Initial
//	                               ←      ServerHello                         Initial
//	                               ←      EncryptedExtensions                 Handshake
//	                                      CertificateRequest
//	                                      Certificate
//	                                      CertificateVerify
//	                                      Finished
//	Certificate                    →                                          Handshake
//	CertificateVerify
//	Finished
//	                               ←      NewSessionTicket (dropped)          Application
//
// Certificate types (RFC 7250) are negotiated by client_certificate_type (19) and server_certificate_type (20): the
// client lists the single type RawPublicKey (2) in each, the server answers with that type in each. A Certificate then
// has one entry, the 44 bytes of a DER SubjectPublicKeyInfo: 302a300506032b6570032100 and the 32 key bytes.
//
// # Trust
//
// Nothing a peer sends is trusted. Sizes and counts are bounded (limits.go here and in internal/wire); each message is
// accepted in one state and at one encryption level only; a parser refuses what it does not understand wherever RFC 8446
// does not say "ignore". The first error is final, wraps the [tls.AlertError] that RFC 8446 demands (where that leaves a
// choice, the one that iroh makes), and its text holds no byte of the peer's.
//
// A client connects to one endpoint id, which it must know beforehand; a server learns the client's id and leaves it to
// the caller what that id may do. The peer's key is shown by ConnectionState only after the handshake is complete, that
// is, after the peer proved that it holds the secret key.
package rpktls
