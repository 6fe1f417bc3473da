package bridge

import "time"

const (
	// maxBlock is the largest block that Bitswap carries (bitswap specification, boxo chunker.BlockSizeLimit). A peer
	// that announces a raw CID of a larger blob could otherwise make us read all of it to answer one want.
	maxBlock = 2 << 20

	// maxKeptProblems bounds what verify says of one sequence that is kept.
	maxKeptProblems = 20

	// relayPatience is how long to wait for a home relay before it is said that there is none.
	relayPatience = 3 * time.Second

	// defaultProfile is how new content is laid out (IPIP-499).
	defaultProfile = "unixfs-v1-2025"
)
