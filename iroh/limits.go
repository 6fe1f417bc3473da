package iroh

import "time"

// Limits of what others can make an endpoint do. Everything here is reached by peers who proved no more than that they
// can send UDP, unless it says otherwise. Package internal/admission has those of connections.
const (
	// maxStreams bounds the streams that a peer has open at once, as iroh does.
	maxStreams = 100

	// acceptedStreamWindow and acceptedConnWindow are what a peer who connected to us may send before we read it. Such
	// peers send requests, which are small. Against a peer that opens many connections and fills the windows of all.
	// A stream does not fill the connection's window: an iroh peer that waits for the connection's window does not hear
	// that we stopped the stream (noq 1.4.0).
	acceptedStreamWindow = 256 << 10
	acceptedConnWindow   = 512 << 10

	// dialedStreamWindow and dialedConnWindow are the same for a peer that we chose to dial, to fetch from it: a
	// stream runs at 20 MB/s over a path of 100 ms from its first round trip on.
	dialedStreamWindow = 2 << 20
	dialedConnWindow   = 4 << 20

	// maxStreamWindow and maxConnWindow are how far windows grow while we read fast; growthBudget bounds the growth of
	// all connections of an endpoint together. Against memory that grows with the number of peers.
	maxStreamWindow = 8 << 20
	maxConnWindow   = 16 << 20
	growthBudget    = 64 << 20

	// maxDialAddrs bounds the addresses that are tried for one peer, and as many that a resolver finds. Against tickets that make us send packets to
	// hundreds of strangers.
	maxDialAddrs = 32

	// maxDialRelays bounds the relays that are tried for one peer in the same way. Against tickets that make us connect to strangers; package
	// home bounds those of all peers.
	maxDialRelays = 3

	// punches is how many datagrams of one byte go to an address that a client names for whom our NAT is to be opened, and
	// maxPunching for how many clients at once. Against clients that make us send to strangers.
	punches     = 3
	maxPunching = 64

	// maxAnnounced bounds the addresses that we tell others: iroh remembers 30 for a peer.
	maxAnnounced = 30

	// maxALPNs and maxALPNLength are limits of TLS's list and of this package's own making.
	maxALPNs      = 32
	maxALPNLength = 255
)

const (
	// dialStagger is the time between attempts, the least that RFC 8305 recommends: addresses in tickets are mostly
	// those of interfaces, of which all but one lead nowhere.
	dialStagger = 100 * time.Millisecond

	// relayStagger is how long direct addresses are tried before a peer is through a relay, if there are any: the connection to the relay
	// is made at once. It is the time of two round trips around half the world.
	relayStagger = 400 * time.Millisecond

	// lookupStagger is how long the addresses that are known are tried before the resolver is asked, if there are any: longer
	// than a handshake with somebody who is there takes. lookupTime bounds what it may take.
	lookupStagger = time.Second
	lookupTime    = 15 * time.Second

	// addrCheck is how often the addresses of the machine are looked at, some 100 µs of system calls.
	addrCheck = 3 * time.Second

	// reportTime bounds a report: longer than the 3 s that one relay has.
	reportTime = 5 * time.Second

	// probeTime is how long a direct address has to prove itself for a connection that began on a relay: three probes.
	// Between rounds over all addresses the pause doubles from firstSeek to lastSeek.
	probeTime = 1500 * time.Millisecond
	firstSeek = time.Second
	lastSeek  = time.Minute

	// punchPause is the time between them.
	punchPause = 500 * time.Millisecond

	// loserGrace is how long attempts that were under way when another one won may go on, so that those whose peer
	// answers are closed properly. Without it the peer would keep a dead connection until its idle timeout.
	loserGrace = time.Second
)
