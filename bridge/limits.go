package bridge

const (
	// maxBlock is the largest block that Bitswap carries (bitswap specification, boxo chunker.BlockSizeLimit). A peer
	// that announces a raw CID of a larger blob could otherwise make us read all of it to answer one want.
	maxBlock = 2 << 20

	// defaultProfile is how new content is laid out (IPIP-499).
	defaultProfile = "unixfs-v1-2025"
)
