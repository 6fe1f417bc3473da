package mdns

import "time"

// Limits of what the local network can make us do and keep.
const (
	// maxPeers bounds the endpoints that are remembered; beyond it the one that was silent the longest is forgotten. Made-up
	// ids cost an attacker one datagram each.
	maxPeers = 2048
	// maxDatagram is the longest message that is read, RFC 6762 section 17.
	maxDatagram = 9000
	// maxAnswer is the longest message that is sent: iroh reads 1,472 bytes, and fragments get lost.
	maxAnswer = 1452
	// answerGap is the least time between two answers: queries cost nothing to send, and each answer goes to everybody.
	answerGap = 200 * time.Millisecond
	// queued bounds the messages that were read and not handled yet; more are dropped.
	queued = 64
)

// Times, those of swarm-discovery 0.6.5 where it has any.
const (
	// DefaultCadence is about how often somebody asks.
	DefaultCadence = 700 * time.Millisecond
	// answerRate is how many answers a second are enough.
	answerRate = 2.5
	// spread is how long an answer waits at most for each endpoint that is known.
	spread = 100 * time.Millisecond
	// minLife is how long an endpoint is remembered at least, for networks that lose datagrams.
	minLife = 10 * time.Second
	// resolveWait is how long Resolve waits for an endpoint that was not heard of: several rounds.
	resolveWait = 3 * time.Second
	// rejoin is how often interfaces are looked for that were not there before.
	rejoin = 15 * time.Second
	// readRetry is how long a socket rests after an error, so that one that keeps failing costs nothing.
	readRetry = 100 * time.Millisecond
	// ttl of the announced records, in seconds.
	ttl = 120
)
