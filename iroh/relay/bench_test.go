package relay

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// BenchmarkRelay sends batches of 16 datagrams of 1,200 bytes through a real relay, and counts what arrives.
func BenchmarkRelay(b *testing.B) {
	server := peertest.Relay(b, peer.RelayConfig{})
	var arrived atomic.Int64
	a := join(b, server.URL, nil).reachable(b)
	to := join(b, server.URL, nil, func(c *Config) {
		c.Receive = func(r *Received) { arrived.Add(int64(len(r.Data))); r.Release() }
	}).reachable(b)
	data := make([]byte, 16*1200)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for !a.Send(Datagrams{Peer: to.id, Segment: 1200, Data: data}) {
		}
	}
	b.StopTimer()
	sent := int64(b.N) * int64(len(data))
	for end := time.Now().Add(2 * time.Second); arrived.Load() < sent && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	b.ReportMetric(100*float64(arrived.Load())/float64(sent), "%arrived")
}
