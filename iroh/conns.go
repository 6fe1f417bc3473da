package iroh

import (
	"slices"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// ConnInfo is what an endpoint knows of one of its connections.
type ConnInfo struct {
	ID       key.EndpointID // of the peer
	ALPN     string
	Path     Path
	Dialed   bool // by us, not by the peer
	Since    time.Time
	RTT      time.Duration // there and back, smoothed
	Sent     Traffic
	Received Traffic
	Lost     Traffic // sent, and never acknowledged as far as we know
}

// Traffic counts UDP payloads, whether they went by UDP or through a relay.
type Traffic struct{ Bytes, Packets uint64 }

// Info tells how the connection does at the moment.
func (c *Conn) Info() ConnInfo {
	s := c.quic.ConnectionStats()
	return ConnInfo{
		ID: c.id, ALPN: c.alpn, Path: c.Path(), Dialed: c.dialed, Since: c.since, RTT: s.SmoothedRTT,
		Sent:     Traffic{s.BytesSent, s.PacketsSent},
		Received: Traffic{s.BytesReceived, s.PacketsReceived},
		Lost:     Traffic{s.BytesLost, s.PacketsLost},
	}
}

// Conns tells of all connections that are open, the oldest first.
func (e *Endpoint) Conns() []ConnInfo {
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	out := make([]ConnInfo, len(conns))
	for i, c := range conns {
		out[i] = c.Info()
	}
	slices.SortFunc(out, func(a, b ConnInfo) int { return a.Since.Compare(b.Since) })
	return out
}
