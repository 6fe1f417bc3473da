package unixfs

// What a DAG may make us hold or do. Everything here is for bytes that somebody else chose.
const (
	// defaultDepth bounds the links between the root and a block: a chain of nodes with one link each would otherwise
	// cost a fetch and a frame for every 40 bytes of it. Balanced files of 2^64 bytes have depth 10.
	defaultDepth = 128

	// defaultBlocks and defaultBytes bound the visits and the file bytes of one walk, against somebody who has much to
	// send and sends it for ever.
	defaultBlocks = 1 << 26
	defaultBytes  = 1 << 44

	// defaultRepeats and defaultRepeatBytes bound the blocks that come again, and their bytes: a block that links the
	// same child a thousand times, seven levels deep, is 10^21 visits out of 300 KB of blocks. More is let through
	// only to a DAG with so many different blocks that it is at most maxRepeat times as much as these.
	defaultRepeats     = 1_000_000
	defaultRepeatBytes = 4 << 30
	maxRepeat          = 64

	// maxSeen bounds the blocks that a walk remembers, in about 20 MB.
	maxSeen = defaultBlocks / maxRepeat

	// maxEntries bounds one directory that is built; its entries are held in memory, at about 150 bytes each.
	maxEntries = 1_000_000

	// maxName bounds a name in a directory, maxPath the names from the root to an entry with their slashes: a name may
	// be as long as a block otherwise, and every entry below a directory carries its path.
	maxName = 4096
	maxPath = 32768

	// maxTarget bounds the target of a symlink, of which no system follows more than 4,096 bytes.
	maxTarget = 65536

	// minFanout and maxFanout bound the slots of a HAMT shard, as boxo does. A fanout is checked before anything is
	// allocated or shifted by it (CVE-2023-23625, CVE-2023-23631).
	minFanout = 8
	maxFanout = 1024

	// maxIdentity bounds the bytes inlined in a CID (boxo verifcid.DefaultMaxIdentityDigestSize).
	maxIdentity = 128

	// maxWrapping bounds what surrounds the payload of a leaf. A usual leaf has at most 20 bytes around its payload;
	// a block that is mostly wrapping is handed over as a node, since it is no range of a file with a little around it.
	maxWrapping = 1024

	// maxHeld bounds the nodes and blocks that a walk holds at one time. Depth times the largest block would be a
	// quarter of a gigabyte.
	maxHeld = 64 << 20

	// linkCost is the memory of a decoded link apart from the bytes of its block, for maxHeld.
	linkCost = 128
)

// How far Walk looks ahead of the block that it delivers.
const (
	aheadBlocks = 64       // blocks announced to the Fetcher and not delivered yet
	aheadBytes  = 32 << 20 // estimated from Tsize and blocksizes
	aheadNear   = 32       // blocks next in line that are announced even if aheadBlocks others are
	aheadNodes  = 16       // nodes that are announced behind as many blocks as may be under way
	aheadHeld   = 16 << 20 // bytes of nodes and blocks that looking ahead may hold
	aheadKept   = 8 << 20  // bytes of blocks kept because they come again soon
	aheadBatch  = 8        // blocks delivered before looking ahead again
)

// Limits bounds what one walk may cost. A zero field stands for its default.
type Limits struct {
	Depth  int    // links from the root to a block; default 128
	Blocks uint64 // blocks visited, each as often as it is linked; default 2^26
	Bytes  uint64 // file bytes delivered, declared sizes included; default 16 TiB

	// Repeats and RepeatBytes bound the blocks among these that were visited before, and their bytes, in a DAG that has
	// few different ones; in one that has many they may be 64 times as much. Defaults 1,000,000 and 4 GiB.
	Repeats     uint64
	RepeatBytes uint64
}

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Blocks == 0 {
		l.Blocks = defaultBlocks
	}
	if l.Bytes == 0 {
		l.Bytes = defaultBytes
	}
	if l.Repeats == 0 {
		l.Repeats = defaultRepeats
	}
	if l.RepeatBytes == 0 {
		l.RepeatBytes = defaultRepeatBytes
	}
	return l
}
