package wire

const (
	// MaxExtensions is the most extensions in one message. Browsers send about 20; it bounds the work of looking for
	// duplicates in a message of thousands of empty extensions.
	MaxExtensions = 64

	// MaxKeyShares is the most key shares in a ClientHello, for the same reason. Two or three are usual.
	MaxKeyShares = 16

	// MaxProtocols is the most names in an ALPN list. Clients offer one to five; it bounds the memory for a list of
	// thousands of tiny names.
	MaxProtocols = 64
)
