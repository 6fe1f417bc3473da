package wire

// ALPN is the protocol name that both sides agree on in the TLS handshake.
const ALPN = "/iroh-bytes/4"

// Codes in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE frames (iroh-blobs, protocol.rs and provider/events.rs).
const (
	CodeDropped    = 0 // the sender lost interest
	CodePermission = 1 // refused by policy
	CodeLimit      = 2 // too slow, or too much
	CodeInternal   = 3 // everything else, a missing blob too
)
