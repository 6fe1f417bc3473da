package blobs

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

	// defaultIdle is how long a peer may take to send its request, to take one buffer of an answer, or, as a
	// provider, to send the next byte. It cuts off peers that hold a stream and send a byte now and then.
	defaultIdle = 30 * time.Second

	// maxLong is how many answers of more than passSize bytes one connection gets at once; the others wait. Each costs the
	// buffers of bao's encoder (576 KiB) and of its outbox (256 KiB), so that a peer that asks for 100 large blobs and reads
	// none costs 33 MiB. A requester that reads all its streams notices nothing, since the connection is the bottleneck.
	maxLong = 40

	// passSize is what an answer may have to count as short.
	passSize = outbox.PassSize

	// maxHashSeq is the largest hash sequence that is read as one, by default: 1,048,576 hashes. It stops the endless
	// hash sequence, which would be read into memory. sendme has the same limit.
	maxHashSeq = 32 << 20

	// maxChildren is how many children a hash sequence may have by default.
	maxChildren = 1_000_000

	// maxMeta is the largest metadata blob of a collection. It stops the collection of endless names.
	maxMeta = 32 << 20

	// maxNamePart and maxName are what file systems in use take for one part and for a whole path. Longer
	// names cannot be exported.
	maxNamePart = 255
	maxName     = 4096

	// smallBlob is the size up to which a child is kept in memory until it is complete and then
	// stored at once, without a partial.
	smallBlob = 64 << 10

	// shelfPlaces is how many such children wait to be stored: 4 MiB at most.
	shelfPlaces = 64

	// maxDrain is how much of a child is read and dropped, because somebody else is storing it, to get to the next one.
	maxDrain = 1 << 20

	// flushEvery is how many bytes of a blob are written between two records of what is there. After a
	// crash at most this much of each blob is asked for again.
	flushEvery = 16 << 20

	// maxAsked is how many bytes of encoded ranges one request of the downloader holds, well below wire.MaxRequest,
	// and maxSpans how many spans of one blob it names; the rest is asked for afterwards.
	maxAsked = 256 << 10
	maxSpans = 1024

	// maxAttempts is how often in a row a fetch tries again without having received anything new.
	maxAttempts = 3

	// retryDelay is the pause before the first new attempt; it doubles with each up to maxDelay.
	retryDelay = 100 * time.Millisecond
	maxDelay   = 2 * time.Second

	// proofTimeout is how long to wait for a proof of the size of a blob of which a group did not verify, before
	// the groups that did are thrown away. The provider is already known to be broken or hostile.
	proofTimeout = 5 * time.Second

	// receiveBuffer is what is read from a stream at a time.
	receiveBuffer = 64 << 10
)
