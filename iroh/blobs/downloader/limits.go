package downloader

import "time"

// Limits of this package. Everything that a provider can make grow is bounded here.
const (
	// defaultIdle is how long a provider may take to send the next byte. It cuts off one that holds a stream and sends a
	// byte now and then.
	defaultIdle = 30 * time.Second

	// defaultSilence is for how long no packet may come from a provider that is asked for something before it is dialed anew: twice what
	// passes between two keep-alives of a connection. Who lives answers those; who does not would hold the fetch up until the
	// connection has timed out, and after that for as long as dialing takes.
	defaultSilence = 10 * time.Second

	// maxHashSeq is the largest hash sequence that is read as one, by default: 1,048,576 hashes. It stops the endless
	// hash sequence, which would be read into memory. sendme has the same limit.
	maxHashSeq = 32 << 20

	// maxChildren is how many children a hash sequence may have by default.
	maxChildren = 1_000_000

	// smallBlob is the size up to which a child is kept in memory until it is complete and then
	// stored at once, without a partial.
	smallBlob = 64 << 10

	// maxBatch is how many children are in one request.
	maxBatch = 64 << 10

	// maxProviders is how many of the providers of a fetch are looked at, maxStarted how many are dialed or asked at a time, and maxActive how
	// many of them without those that are slow to answer. It stops lists of thousands of providers that do not exist, or that all answer.
	// Each stream costs about 150 KiB of buffers here, so that those of a fetch take 10 MiB at most; all fetches share the store's buffers
	// (16 MiB), and the endpoint bounds what QUIC holds for connections.
	maxProviders = 1024
	maxStarted   = 64
	maxActive    = 16

	// maxLanes is how many streams one provider is asked over, one for each longPath of round trip. iroh-blobs' FsStore resets
	// some of 20 requests for one blob. minLanes is for the children of hash sequences: a provider looks them up one after the other,
	// and with two requests on two cores.
	maxLanes = 4
	minLanes = 2
	longPath = 20 * time.Millisecond

	// longDial is how long a provider may take to be dialed before another one is dialed too, and maxDials how often one is that
	// was never reached.
	longDial = 500 * time.Millisecond
	maxDials = 2

	// minSpan and maxSpan are how many bytes of a blob are asked for at a time, of what a provider brings in spanTime. Of a provider of
	// which nothing is known the least is asked, so that one that is slow or lies holds nobody up.
	minSpan  = 1 << 20
	maxSpan  = 16 << 20
	spanTime = time.Second

	// minBatch is how many children are asked for at a time at least, of the only provider fewChildren, and splitFrom the size from which a child is fetched in
	// parts, if there are several streams. openingSize is how much is asked for of a blob before its size is known.
	minBatch    = 32
	fewChildren = 1024
	splitFrom   = 16 << 20
	openingSize = 4 << 20

	// stallShare is which part of the stall timeout a provider may bring nothing while another one could, and watchEvery how often
	// that is looked at.
	stallShare = 10
	watchEvery = 100 * time.Millisecond

	// observeWait is how long a provider may take to say what it has before it is asked for everything, and maxClaimed in how many
	// boundaries. It stops the provider that says nothing, or too much.
	observeWait = time.Second
	maxClaimed  = 4096

	// maxClaims is how many claims of a provider are read in watchEvery, one with claimWeight boundaries as two; the plan is told the last of
	// them. It stops the provider that claims without end, which would keep a processor and all the others busy. An honest one
	// that is kept waiting sends fewer claims, of more.
	maxClaims   = 256
	claimWeight = 64

	// maxDrain is how much of a child is read and dropped, because somebody else is storing it, to get to the next one.
	maxDrain = 1 << 20

	// maxAsked is how many bytes of encoded ranges one request of the downloader holds, well below wire.MaxRequest,
	// and maxSpans how many spans of one blob it names; the rest is asked for afterwards.
	maxAsked = 256 << 10
	maxSpans = 1024

	// maxAttempts is how often in a row a fetch tries again without having received anything new. Dials of a provider that
	// is silent count, so that no more is tried when its connection times out.
	maxAttempts = 3

	// retryDelay is the pause before the first new attempt; it doubles with each up to maxDelay.
	retryDelay = 100 * time.Millisecond
	maxDelay   = 2 * time.Second

	// proofTimeout is how long to wait for a proof of the size of a blob of which a group did not verify, before
	// the groups that did are thrown away. The provider is already known to be broken or hostile.
	proofTimeout = 5 * time.Second

	// hashSize is the size of one entry of a hash sequence.
	hashSize = 32
)
