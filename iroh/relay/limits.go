package relay

import "time"

// Limits of what a relay can make a client do, and of what a client keeps.
const (
	// maxURL bounds a relay's URL, as tickets do. Against lists of relays that fill the memory.
	maxURL = 2048

	// maxHead bounds the HTTP answer that comes before the WebSocket, and what follows at once. Against headers without end.
	maxHead = 64 << 10

	// maxTimes bounds the times in a notice of a restart. Against a relay that keeps us away for a month.
	maxTimes = time.Minute

	// maxPongs bounds the pings that wait for their answer; more go unanswered. Against a relay that sends pings and
	// reads nothing.
	maxPongs = 8

	// sendQueue bounds the frames that wait to be sent, each at most 64 KiB and mostly 1 to 20. More have to wait for
	// patience, and are dropped if there is no connection.
	sendQueue = 128

	// maxBurst bounds the bytes that are collected for one system call.
	maxBurst = 256 << 10

	// maxProbes bounds the relays that are probed at the same time.
	maxProbes = 16
)

const (
	// connectTimeout is for everything until the relay has confirmed who we are.
	connectTimeout = 10 * time.Second

	// pingEvery and pongTimeout find out that a connection leads nowhere. The relay does the same after 15 to 20 s.
	pingEvery   = 15 * time.Second
	pongTimeout = 5 * time.Second

	// maxUnsent is how many pings in a row may find the one before not even sent: links can be slow, but 8 KiB/s is more than
	// they need. Against a relay that goes on sending and reads nothing.
	maxUnsent = 2

	// firstPause and maxPause are the least and most time between attempts to connect.
	firstPause = 50 * time.Millisecond
	maxPause   = 16 * time.Second

	// settled is how long a connection must have lasted for the pauses to begin anew.
	settled = 5 * time.Second

	// staleAfter is the age at which datagrams are dropped that waited for a connection: QUIC has sent others meanwhile.
	staleAfter = 3 * time.Second

	// patience is how long Send waits for room while there is a connection. It slows a sender down to what the relay
	// takes, where dropping would make it send everything again.
	patience = 200 * time.Millisecond

	// closeGrace is how long Close may take to send what is queued and to say good-bye.
	closeGrace = time.Second

	// hearGrace is how long what came before a connection broke may take to be read. Against a relay that sends on and on, but
	// reads nothing.
	hearGrace = 2 * time.Second
)
