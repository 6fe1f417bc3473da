package qad

const (
	// maxHeld bounds the packets that are kept until the secret is there, maxPacket the size of each. Against somebody who
	// sends packets in the server's name while the handshake is under way.
	maxHeld   = 4
	maxPacket = 1500

	// maxFrames bounds the frames of one packet that are looked at; a packet has room for more only if they are of no use.
	maxFrames = 256

	// maxParameters bounds the transport parameters that are read; they are quic-go's own.
	maxParameters = 64
)
