package blocks

// maxBlock is the largest block that Bitswap carries (bitswap specification, boxo chunker.BlockSizeLimit). A peer
// that announces a raw CID of a larger blob could otherwise make us read all of it to answer one want.
const maxBlock = 2 << 20
