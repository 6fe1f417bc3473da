package rpktls

const (
	// maxBuffered is the most handshake bytes kept at a time, and so also the largest message (its 4-byte header
	// included). An honest flight is about 400 bytes. It stops a peer that announces a 16 MiB message and feeds it
	// slowly. quic-go allows the same number of CRYPTO bytes at each encryption level. (The bounds inside a message are
	// in internal/wire/limits.go.)
	maxBuffered = 16 << 10

	// maxTransportParameters is the largest value of quic_transport_parameters that is sent. Together with the other
	// extensions it fits into the peer's 16 KiB; quic-go and iroh send about 100 bytes.
	maxTransportParameters = 8 << 10

	// maxALPN is the most protocol names that a Config may have, so that a ClientHello stays small.
	maxALPN = 32

	// maxTickets is the most NewSessionTickets that a client drops before it calls the server hostile. Servers send
	// one to four (iroh: two). It stops an endless stream of post-handshake messages (as CVE-2026-56862 was).
	maxTickets = 16

	// maxTicketSize is the largest NewSessionTicket message. A ticket is about 200 bytes; one that holds a serialized
	// session may reach a kilobyte or two.
	maxTicketSize = 4 << 10
)
