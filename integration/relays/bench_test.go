package relays

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// BenchmarkThroughRelay fetches one blob through one relay: a Rust node from a Rust node, and then with ours on either side.
// BRIDGE_RELAY_MIB is its size, 256 without. Compare the times of one run; the stores are on disk.
func BenchmarkThroughRelay(b *testing.B) {
	mib, err := strconv.Atoi(os.Getenv("BRIDGE_RELAY_MIB"))
	if err != nil {
		mib = 256
	}
	server := peertest.Relay(b, peer.RelayConfig{})
	rust := rustAt(b, server, true)
	name, _ := file(b, mib<<20)
	node, err := rust.Serve(context.Background(), filepath.Join(b.TempDir(), "store"), name)
	if err != nil {
		b.Fatal(err)
	}
	peertest.Keep(b, node.Process)
	ours := start(b, server)
	hash, _ := ours.blob(b, mib<<20)
	measure := func(name string, fetch func(b *testing.B) time.Duration) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(mib) << 20)
			var sum time.Duration
			for range b.N {
				sum += fetch(b)
			}
			b.ReportMetric(sum.Seconds()/float64(b.N), "transfer-s/op")
		})
	}
	byRust := func(text string) func(b *testing.B) time.Duration {
		return func(b *testing.B) time.Duration {
			f, err := rust.Fetch(context.Background(), filepath.Join(b.TempDir(), "store"), text, "none")
			if err != nil {
				b.Fatal(err)
			}
			return time.Duration(f.Seconds * float64(time.Second))
		}
	}
	measure("Rust-from-Rust", byRust(node.Items[0].Ticket))
	measure("Rust-from-ours", byRust(ours.ticketByRelay(hash)))
	measure("ours-from-Rust", func(b *testing.B) time.Duration {
		want, err := ticket.ParseBlob(node.Items[0].Ticket)
		if err != nil {
			b.Fatal(err)
		}
		n := start(b, server)
		began := time.Now()
		d := downloader.New(downloader.Config{Store: n.store, Endpoint: n})
		if _, err := d.Fetch(context.Background(), []ticket.EndpointAddr{want.Addr}, want.Hash, want.Format, nil); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	})
}
