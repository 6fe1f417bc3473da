package pkarr

// Sizes of a packet. A longer one is refused before its signature is checked, so that a stranger's kilobytes cost
// neither memory nor time.
const (
	// MaxMessage is the most bytes of DNS message (BEP 44 says 1,000 for a value).
	MaxMessage = 1000
	// MaxPayload is the most bytes of what a relay stores: signature, timestamp, DNS message.
	MaxPayload = headerPayload + MaxMessage
	// MaxPacket is the most bytes of a packet.
	MaxPacket = keyLen + MaxPayload

	keyLen        = 32
	signatureLen  = 64
	timestampLen  = 8
	headerPayload = signatureLen + timestampLen
)
