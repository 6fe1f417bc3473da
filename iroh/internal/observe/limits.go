package observe

import "time"

// maxAsked bounds the relays that are asked in a round, as iroh does. Against a configuration that makes every endpoint
// that has it ask many.
const maxAsked = 5

const (
	// askTime is what one relay has to answer, name and handshake among it (iroh 1.4).
	askTime = 3 * time.Second

	// roundEvery is the time between rounds, retryEvery that after one in which nobody answered, settle how long the
	// network is left alone after it has changed, and minGap the least time between rounds. Against relays that close what
	// we keep open, and networks that come and go.
	roundEvery = 3 * time.Minute
	retryEvery = 30 * time.Second
	settle     = 500 * time.Millisecond
	minGap     = 5 * time.Second

	// fresh is how long an address is told to others that was not seen again: two rounds that failed.
	fresh = 2*roundEvery + time.Minute

	// keepAlive and idle are those of iroh's own connections to relays for this purpose. NATs forget an address when
	// nothing was sent for 30 s or more.
	keepAlive = 25 * time.Second
	idle      = 35 * time.Second
)
