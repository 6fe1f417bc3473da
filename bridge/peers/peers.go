// Package peers lists who a bridge is connected with, on both networks.
package peers

import (
	"time"

	"github.com/iroh-ipfs/bridge/ipfs/host"
	"github.com/iroh-ipfs/bridge/iroh"
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

// List is everybody that a bridge is connected with.
type List struct {
	Peers []Peer `json:"peers"`
}

// Of lists the connections of an iroh endpoint and of a libp2p host, those of iroh first.
func Of(e *iroh.Endpoint, h *host.Host) List {
	out := List{Peers: []Peer{}}
	for _, c := range e.Conns() {
		out.Peers = append(out.Peers, Peer{
			Network: "iroh", ID: c.ID.String(), Path: c.Path.String(), Relayed: c.Path.Relay != "", Transport: "quic", Protocol: c.ALPN,
			Dialed: c.Dialed, Since: c.Since, RTTMillis: millis(c.RTT), Sent: c.Sent.Bytes, Received: c.Received.Bytes,
		})
	}
	for _, c := range h.Conns() {
		out.Peers = append(out.Peers, Peer{
			Network: "libp2p", ID: c.Peer.String(), Path: c.Addr, Transport: c.Transport, Dialed: c.Dialed,
			Since: c.Since, RTTMillis: millis(c.RTT), Sent: c.Sent, Received: c.Received,
		})
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
