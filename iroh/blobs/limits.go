package blobs

import "time"

// Limits of this package. Everything that a peer can make grow is bounded here.
const (
	// defaultIdle is how long a provider may take to send the next byte. It cuts off one that holds a stream and sends a
	// byte now and then.
	defaultIdle = 30 * time.Second

	// maxHashSeq is the largest hash sequence that is read as one, by default: 1,048,576 hashes. It stops the endless
	// hash sequence, which would be read into memory. sendme has the same limit.
	maxHashSeq = 32 << 20

	// maxChildren is how many children a hash sequence may have by default.
	maxChildren = 1_000_000

	// maxMeta is the largest metadata blob of a collection. It stops the collection of endless names.
	maxMeta = 32 << 20

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

	// maxObserved is how many boundaries an observed blob may have. It stops the provider that has every other chunk of a blob
	// without end.
	maxObserved = 1 << 20

	// maxAsking is how many children of a hash sequence are observed at once before it is pushed; a provider takes 64 at least.
	maxAsking = 32

	// maxAskedAll is how many children a target that lacks their sequence is asked about, before all are sent without asking.
	maxAskedAll = 1024

	// reasonTimeout is how long to wait for the reason of a refused push, which comes with the refusal.
	reasonTimeout = time.Second

	// receiveBuffer is what is read from a stream at a time.
	receiveBuffer = 64 << 10
)
