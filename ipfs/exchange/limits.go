package exchange

import "time"

const (
	// maxBlock is the largest block that is taken or served: 2 MiB, the Bitswap
	// specification's limit.
	maxBlock = 2 << 20
	// maxWants is how many blocks a session fetches in advance at a time, if they
	// are small: maxHeld is reached first otherwise. boxo sends wants every 20 ms,
	// so with fewer a DAG of small blocks would be slow; its server keeps 1,024
	// wants of a peer and drops the rest.
	maxWants = 256
	// maxHeld is how many bytes a session holds that nobody has taken, and aims
	// to have on their way. A peer that sends larger blocks than before cannot
	// make it hold more than that and the block that is waited for: what would be
	// is dropped, and fetched again when it is asked for.
	maxHeld = 32 << 20
	// maxReady is how many blocks a session holds that nobody has taken, besides
	// maxHeld: small blocks cost more than their bytes.
	maxReady = 1024
	// maxRecent is how many bytes a session remembers of blocks that were taken,
	// and maxRecentCIDs of how many it remembers the CID.
	maxRecent     = 8 << 20
	maxRecentCIDs = 4096
	// maxQueue is how many CIDs wait to be fetched in advance. Those beyond are
	// fetched when they are asked for. A node of 2 MiB has up to 40,000 links.
	maxQueue = 1 << 16
	// minBatch is how many wants go out together, if there are as many: a
	// message for each would be slow.
	minBatch = 8
	// firstSize is what a block is assumed to have before one was seen.
	firstSize = 1 << 20
	// defaultStall is how long a session waits while nothing arrives. Finding a
	// provider on the public network takes up to half a minute.
	defaultStall = time.Minute
	// askAgain is after what silence a session asks for a block once more.
	askAgain = 5 * time.Second
	// wantAgain is how long a second want for a block is left to be answered at
	// first, and maxWantAgain in the end: a block of 2 MiB takes a while on a slow
	// line. wantPause is between two of them.
	wantAgain    = 3 * time.Second
	maxWantAgain = time.Minute
	wantPause    = 200 * time.Millisecond
	// sweepEvery is how often the server's books are searched for peers that have
	// gone; twice that later nothing is left of one.
	sweepEvery = 4 * time.Second
	// maxPeers is how many peers a session connects to by itself, maxDials how
	// many at a time, and dialTimeout how long it tries each.
	maxPeers    = 64
	maxDials    = 8
	dialTimeout = 30 * time.Second
)
