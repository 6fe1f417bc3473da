package host

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Conn is a connection with another peer.
type Conn struct {
	Peer      peer.ID
	Addr      string        // where the peer is, a multiaddr without /p2p/
	Transport string        // "tcp" or "quic-v1"
	Dialed    bool          // by us
	Since     time.Time     // when it was made
	RTT       time.Duration // there and back, an average over all connections with the peer; zero while it is not known
	// Sent and Received are the bytes of streams over all connections with the peer, since it has any.
	Sent, Received uint64
}

// Conns lists the connections that there are, by peer.
func (h *Host) Conns() []Conn {
	var out []Conn
	for _, c := range h.h.Network().Conns() {
		stat, state := c.Stat(), c.ConnState()
		one := Conn{
			Peer: c.RemotePeer(), Addr: c.RemoteMultiaddr().String(), Transport: state.Transport,
			Dialed: stat.Direction == network.DirOutbound, Since: stat.Opened, RTT: h.h.Peerstore().LatencyEWMA(c.RemotePeer()),
		}
		one.Sent, one.Received = h.traffic.of(one.Peer)
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Conn) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), a.Since.Compare(b.Since))
	})
	return out
}

// Reachability is what AutoNAT has found out: "public", "private", or "unknown".
func (h *Host) Reachability() string {
	sub, err := h.h.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		return "unknown"
	}
	defer sub.Close()
	soon := time.NewTimer(reachabilityWait)
	defer soon.Stop()
	select {
	case e := <-sub.Out(): // the last one, if there was any, which the bus hands over in the background
		switch e.(event.EvtLocalReachabilityChanged).Reachability {
		case network.ReachabilityPublic:
			return "public"
		case network.ReachabilityPrivate:
			return "private"
		}
	case <-soon.C:
	}
	return "unknown"
}

// reachabilityWait is how long to wait for an event that was there before.
const reachabilityWait = 200 * time.Millisecond

// traffic counts the bytes of the peers that are connected. libp2p's own counter keeps everybody who ever was, and rates
// that nobody asks for.
type traffic struct {
	network.NoopNotifiee
	mu    sync.RWMutex
	peers map[peer.ID]*counts
}

type counts struct{ sent, received atomic.Uint64 }

var (
	_ metrics.Reporter = (*traffic)(nil)
	_ network.Notifiee = (*traffic)(nil)
)

func newTraffic() *traffic { return &traffic{peers: map[peer.ID]*counts{}} }

// Connected implements network.Notifiee.
func (t *traffic) Connected(_ network.Network, c network.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[c.RemotePeer()] == nil {
		t.peers[c.RemotePeer()] = &counts{}
	}
}

// Disconnected implements network.Notifiee.
func (t *traffic) Disconnected(n network.Network, c network.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.Connectedness(c.RemotePeer()) != network.Connected {
		delete(t.peers, c.RemotePeer())
	}
}

func (t *traffic) counts(p peer.ID) *counts {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.peers[p]
}

func (t *traffic) of(p peer.ID) (sent, received uint64) {
	if c := t.counts(p); c != nil {
		return c.sent.Load(), c.received.Load()
	}
	return 0, 0
}

// LogSentMessageStream implements metrics.Reporter.
func (t *traffic) LogSentMessageStream(n int64, _ protocol.ID, p peer.ID) {
	if c := t.counts(p); c != nil {
		c.sent.Add(uint64(n))
	}
}

// LogRecvMessageStream implements metrics.Reporter.
func (t *traffic) LogRecvMessageStream(n int64, _ protocol.ID, p peer.ID) {
	if c := t.counts(p); c != nil {
		c.received.Add(uint64(n))
	}
}

// GetBandwidthForPeer implements metrics.Reporter.
func (t *traffic) GetBandwidthForPeer(p peer.ID) metrics.Stats {
	sent, received := t.of(p)
	return metrics.Stats{TotalOut: int64(sent), TotalIn: int64(received)}
}

// The rest of metrics.Reporter is of no use here.

// LogSentMessage implements metrics.Reporter.
func (*traffic) LogSentMessage(int64) {}

// LogRecvMessage implements metrics.Reporter.
func (*traffic) LogRecvMessage(int64) {}

// GetBandwidthForProtocol implements metrics.Reporter.
func (*traffic) GetBandwidthForProtocol(protocol.ID) metrics.Stats { return metrics.Stats{} }

// GetBandwidthTotals implements metrics.Reporter.
func (*traffic) GetBandwidthTotals() metrics.Stats { return metrics.Stats{} }

// GetBandwidthByPeer implements metrics.Reporter.
func (*traffic) GetBandwidthByPeer() map[peer.ID]metrics.Stats { return nil }

// GetBandwidthByProtocol implements metrics.Reporter.
func (*traffic) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }

// Reset implements metrics.Reporter.
func (*traffic) Reset() {}

// TrimIdle implements metrics.Reporter.
func (*traffic) TrimIdle(time.Time) {}
