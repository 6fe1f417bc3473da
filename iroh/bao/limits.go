package bao

// Units of the format. They are fixed by BLAKE3 and by iroh-blobs.
const (
	// ChunkSize is the length in bytes of a BLAKE3 chunk.
	ChunkSize = 1024
	// GroupSize is the length in bytes of a chunk group: the smallest part of a
	// blob that the outboard can verify, and the longest leaf of an encoding.
	GroupSize = groupChunks * ChunkSize
	// PieceSize is the length in bytes of what [HashPiece] hashes at once. It is
	// a subtree of its own wherever it lies in a blob.
	PieceSize = pieceChunks * ChunkSize

	groupChunks = 16
	pieceChunks = 1024
	pairSize    = 64
)

// Bounds on memory. A peer chooses the size and the ranges; whatever it
// chooses, an encoder or decoder holds no more than these buffers and a stack of
// one entry for each level of the tree.
const (
	// maxDepth bounds the stack of a walk. A u64 size has at most 2^54 chunks, so
	// no path is longer than 54 nodes; each leaves one sibling waiting.
	maxDepth = 64
	// readSize bounds what an encoder reads from the data in one call.
	readSize = 256 << 10
	// writeSize bounds what an encoder collects before it writes.
	writeSize = 256 << 10
	// pairsReadSize bounds what an encoder reads from the outboard in one call
	// below a wholly selected subtree: 1024 pairs, enough for 16 MiB of data.
	pairsReadSize = 64 << 10
	// pathReadSize is the same for a partly selected subtree, where most of what
	// follows a pair may not be wanted: one page.
	pathReadSize = 4 << 10
	// decodeSize bounds a decoder's buffer. A lying size must not cost more.
	decodeSize = 128 << 10
	// blockPieces is how many pieces' pairs a [Tree] collects before it writes
	// them: they are one run of 64 KiB in pre-order.
	blockPieces = 16
)
