package host

import (
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
)

const (
	// connsLow and connsHigh are where the connection manager stops and starts
	// closing connections that nobody uses, and connsGrace is how long a new one
	// is left alone. Without them a public host collects connections for ever.
	connsLow   = 192
	connsHigh  = 320
	connsGrace = 30 * time.Second

	// maxConns is the number of connections, of which maxConnsIn may have been
	// opened by others. More connections than the connection manager has closed
	// yet are refused: a flood must not take the file descriptors.
	maxConns   = 768
	maxConnsIn = 512
	// maxHandshakes is the number of connections that are not through their
	// handshake: each costs CPU for signatures.
	maxHandshakes = 128
	// maxStreams is the number of streams, maxStreamsPeer that of one peer. A
	// Bitswap peer needs two; a stream costs up to 256 KiB of window.
	maxStreams     = 4096
	maxStreamsPeer = 512
	// maxMemory is what connections and streams may reserve for windows and
	// messages, maxMemoryPeer is one peer's share. Reservations are mostly not
	// used: this is not resident memory.
	maxMemory     = 512 << 20
	maxMemoryPeer = 64 << 20
	// maxFDs is the number of sockets.
	maxFDs = 768
	// maxConnsPeer is the number of connections to one peer: TCP and QUIC, in
	// both directions, while they race.
	maxConnsPeer = 8

	// maxKeyFile is the size of a key file: an Ed25519 key has 68 bytes.
	maxKeyFile = 1024
	// provideWorkers is how many roots are announced at a time: each asks about
	// 20 peers.
	provideWorkers = 4
	// maxProvideBatch is how many roots are announced again in one sweep.
	maxProvideBatch = 4096
)

// resourceManager makes the resource manager: our own ceilings, and libp2p's
// defaults for its own services and protocols. There is no host without one.
func resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: maxConns, ConnsInbound: maxConnsIn, ConnsOutbound: maxConns, FD: maxFDs,
			Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: maxHandshakes, ConnsInbound: maxHandshakes, ConnsOutbound: maxHandshakes, FD: maxHandshakes,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxConnsPeer, ConnsInbound: maxConnsPeer, ConnsOutbound: maxConnsPeer, FD: maxConnsPeer,
			Streams: maxStreamsPeer, StreamsInbound: maxStreamsPeer, StreamsOutbound: maxStreamsPeer, Memory: maxMemoryPeer,
		},
	}.Build(scaling.Scale(maxMemory, maxFDs))
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits))
}
