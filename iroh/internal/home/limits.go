package home

import "time"

// MaxRelays bounds the relays that are connected at the same time. Against tickets that make us connect to hundreds of
// strangers.
const MaxRelays = 32

const (
	// relayIdle closes the connection to a relay, other than the home, on which we sent nothing.
	relayIdle = time.Minute

	// relayCheck is how often relays are looked after; homeAway how long the home may be away before others are probed,
	// and homeCheck how often they are probed anyway.
	relayCheck = 2 * time.Second
	homeAway   = 5 * time.Second
	homeCheck  = 5 * time.Minute
)
