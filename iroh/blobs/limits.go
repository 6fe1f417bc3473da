package blobs

import "time"

// Limits of this package. Everything that a peer can make grow is bounded here.
const (
	// defaultIdle is how long a provider may take to send the next byte. It cuts off one that holds a stream and sends a
	// byte now and then.
	defaultIdle = 30 * time.Second

	// maxChildren is how many children a hash sequence may have by default.
	maxChildren = 1_000_000

	// maxMeta is the largest metadata blob of a collection. It stops the collection of endless names.
	maxMeta = 32 << 20

	// maxAsked is how many bytes of encoded ranges one request of the downloader holds, well below wire.MaxRequest,
	// and maxSpans how many spans of one blob it names; the rest is asked for afterwards.
	maxAsked = 256 << 10
	maxSpans = 1024

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
