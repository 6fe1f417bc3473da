package bridge

import (
	"time"
)

// Peer is a connection with somebody, on either network.
type Peer struct {
	Network   string    `json:"network" enum:"iroh,libp2p"`
	ID        string    `json:"id" doc:"endpoint id, or peer id"`
	Path      string    `json:"path" doc:"how its packets go: ip:port or the URL of a relay; a multiaddr for libp2p"`
	Relayed   bool      `json:"relayed,omitempty" doc:"through a relay, and not directly"`
	Transport string    `json:"transport" doc:"quic, tcp or quic-v1"`
	Protocol  string    `json:"protocol,omitempty" doc:"ALPN of an iroh connection"`
	Dialed    bool      `json:"dialed" doc:"by us, not by the peer"`
	Since     time.Time `json:"since"`
	RTTMillis float64   `json:"rttMillis" doc:"round trip in milliseconds; 0 while it is not known"`
	Sent      uint64    `json:"sent" doc:"bytes: of UDP payloads for iroh, of all streams with the peer for libp2p"`
	Received  uint64    `json:"received" doc:"bytes, likewise"`
}

// Peers is everybody that this bridge is connected with.
type Peers struct {
	Peers []Peer `json:"peers"`
}

// Peers lists the connections on both networks, those of iroh first.
func (b *Bridge) Peers() Peers {
	out := Peers{Peers: []Peer{}}
	n := b.online()
	if n == nil {
		return out
	}
	for _, c := range n.iroh.Presence.Endpoint.Conns() {
		out.Peers = append(out.Peers, Peer{
			Network: "iroh", ID: c.ID.String(), Path: c.Path.String(), Relayed: c.Path.Relay != "", Transport: "quic", Protocol: c.ALPN,
			Dialed: c.Dialed, Since: c.Since, RTTMillis: millis(c.RTT), Sent: c.Sent.Bytes, Received: c.Received.Bytes,
		})
	}
	for _, c := range n.host.Conns() {
		out.Peers = append(out.Peers, Peer{
			Network: "libp2p", ID: c.Peer.String(), Path: c.Addr, Transport: c.Transport, Dialed: c.Dialed,
			Since: c.Since, RTTMillis: millis(c.RTT), Sent: c.Sent, Received: c.Received,
		})
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
