package provider

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
)

// Limits of this package. Everything that a peer can make grow is bounded here.
const (
	// smallRequest bytes every stream may send as its request, and maxRequests all streams of a connection together beyond
	// that; what comes on top is refused. So 100 streams hold 2.4 MiB and not 100, and up to 16 times as much decoded. A request
	// for 10,000 children of which each second one is there has 50 KB. Waiting is no choice: what is not read of one stream
	// takes up the connection's window, and no other could go on.
	smallRequest = 4 << 10
	maxRequests  = 2 << 20

	// maxStreams is how many streams of one connection are served at once; iroh's own transport parameter
	// is the same. A peer that opens 10,000 streams costs 100 goroutines, the others wait in QUIC.
	maxStreams = 100

	// maxLong is how many answers of more than passSize bytes one connection gets at once; the others wait. Each costs the
	// buffers of bao's encoder (576 KiB) and of its outbox (256 KiB), so that a peer that asks for 100 large blobs and reads
	// none costs 33 MiB. A requester that reads all its streams notices nothing, since the connection is the bottleneck.
	maxLong = 40

	// passSize is what an answer may have to count as short.
	passSize = outbox.PassSize

	// defaultIdle is how long a peer may take to send its request, or to take one buffer of an answer. It cuts off peers
	// that hold a stream and send or read a byte now and then.
	defaultIdle = 30 * time.Second

	// defaultMemory is what all answers and pushes together take for buffers: some 300 answers at a time. It stops peers that open
	// many connections and read nothing of large blobs on each. leastMemory is a few of each.
	defaultMemory = 256 << 20
	leastMemory   = 8 << 20

	// encoderCost is what an answer takes of the budget while it is made, for the encoder and what it collects of a short answer,
	// and outboxCost what a long one takes besides. pushCost is for a push: decoder, reader, and a small blob. An answer that has
	// the first waits for the second and never the other way around, and they come from budgets of their own, so that nobody waits in
	// a circle.
	encoderCost = 640 << 10
	outboxCost  = 256 << 10
	pushCost    = 256 << 10

	// maxRequestsAll is maxRequests for all connections together, in raw bytes; decoded they may be 16 times as much. It stops
	// many connections with a large request each.
	maxRequestsAll = 16 << 20

	// The defaults of Limits. allConnections is that of the endpoint. A requester opens 100 streams on a connection at most, and
	// peerObservers leaves room for others among them. allRequests is of goroutines that may wait for memory, some 20 KiB each.
	allConnections, peerConnections = 1024, 64
	allRequests, peerRequests       = 10_000, 1000
	allObservers, peerObservers     = 4096, 64

	// defaultMinRate is below what any link in use gives, and stops a peer that holds an answer of 640 KiB of buffers for hours by
	// reading a few bytes in time.
	defaultMinRate = 4 << 10

	// maxSlice and minSlice are how much is moved between two looks at the rate limits, and maxBurst how much may go at once after
	// a pause.
	maxSlice = 128 << 10
	minSlice = 1 << 10
	maxBurst = 8 << 20

	// maxPeers is how many peers' rates are remembered after they are gone, so that dialing again does not help. Ids cost nothing,
	// so memory has to be bounded here; who makes 4,096 of them makes himself forgotten.
	maxPeers = 4096

	// progressEvery is how many bytes of a request are moved between two events that say so.
	progressEvery = 1 << 20

	// observeEvery is the least time between two items of an observation. It stops a fast download from making us tell 4,096
	// observers about each mebibyte.
	observeEvery = 50 * time.Millisecond

	// smallBlob is the size up to which a pushed blob is collected in memory and stored at once.
	smallBlob = 64 << 10

	// blobCost is what a pushed blob counts beyond its bytes. It stops a peer that pushes a thousand million blobs of one byte each into
	// a gibibyte.
	blobCost = 1 << 10

	// recountEvery is the least time between two counts of all that was pushed, which takes a look-up for each blob. It stops a peer
	// that pushes against a full quota from keeping the disk busy.
	recountEvery = 10 * time.Second

	// pushBuffer is what is read of a push at a time.
	pushBuffer = 64 << 10
)
