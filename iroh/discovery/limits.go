package discovery

import "time"

// Limits of the resolver. Ids come from tickets and from the command line, but also from strangers once content is
// fetched by id: many of them must cost neither memory nor a flood of queries.
const (
	// DefaultEntries bounds the endpoints that a resolver remembers.
	DefaultEntries = 4096
	// maxLookups bounds the lookups that run at once; each costs a dozen goroutines and a few packets.
	maxLookups = 512
	// maxQueries bounds the DNS queries that run at once, each of which has a socket; more wait. While the name servers are
	// silent every lookup has several, which would use up the process's file descriptors.
	maxQueries = 64
	// maxConns bounds the connections to a pkarr relay; more requests wait.
	maxConns = 16
	// maxStatic bounds the endpoints of a Static.
	maxStatic = 16384
)

// Times of the resolver.
const (
	// DefaultTimeout is how long a lookup waits for its slowest source.
	DefaultTimeout = 10 * time.Second
	// DefaultFresh is how long an answer is used without asking again: the TTL of iroh's records.
	DefaultFresh = 30 * time.Second
	// DefaultMaxAge is how long an answer is kept for the case that no source answers any more.
	DefaultMaxAge = time.Hour
	// DefaultNegative is how long it is believed that nobody knows an endpoint. It is short: the usual reason to look up
	// an id is that its owner has just come up.
	DefaultNegative = 2 * time.Second
	// stalePatience is how long a caller waits for a new answer when there is an old one.
	stalePatience = 2 * time.Second
	// grace is how long the first answer waits for a second one that is just as quick.
	grace = 20 * time.Millisecond
)

// Times of publishing (iroh 1.4).
const (
	// DefaultRepublish is how often a record is published though it has not changed.
	DefaultRepublish = 5 * time.Minute
	// retryStep is how much longer each further failure in a row waits.
	retryStep = time.Second
	// publishTimeout bounds one attempt, so that a sink that hangs does not keep a newer record back.
	publishTimeout = 20 * time.Second
)

// Limits of HTTP.
const (
	httpTimeout = 10 * time.Second
	// maxHeader bounds the header of an answer; the standard library takes 10 MiB.
	maxHeader = 64 << 10
	// maxErrorBody is as much of an error's text as is quoted; a server could send any amount.
	maxErrorBody = 256
)

// queryTimeout bounds one DNS query (iroh 1.4).
const queryTimeout = 3 * time.Second
