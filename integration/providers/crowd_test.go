package providers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const (
	// crowd is how many peers come at once.
	crowd = 200
	// memoryLimit is what the bridge may take, at its peak.
	memoryLimit = 500 << 20
	// unit is what messages, bytes and connections are counted for.
	unit = 256 << 10
	// maxPackets is how many packets for 256 KiB are allowed, both ways: 1,200 bytes each at the least, and as many again for acknowledgements and what
	// is sent twice.
	maxPackets = 2 * unit / 1200 * 2
)

// program is the bridge under test, built once for all tests.
var program peer.Bridge

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bridge-providers-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = peer.BuildBridge(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// counts is what a crowd did and what came of it. Traffic is of UDP payloads, as the crowd sees it.
type counts struct {
	Dials, Connections, Requests, Failed int64
	Bytes                                uint64 // of the blob, verified
	Sent, Received                       iroh.Traffic
}

func (c *counts) add(o counts) {
	c.Dials += o.Dials
	c.Connections += o.Connections
	c.Requests += o.Requests
	c.Failed += o.Failed
	c.Bytes += o.Bytes
	c.traffic(o.Sent, o.Received)
}

func (c *counts) traffic(sent, received iroh.Traffic) {
	c.Sent.Bytes += sent.Bytes
	c.Sent.Packets += sent.Packets
	c.Received.Bytes += received.Bytes
	c.Received.Packets += received.Packets
}

// 200 peers at once, each with a key and a socket of its own and all from one address, as behind one NAT, get a different range of one
// blob each from a daemon with its defaults: all succeed at their first try, every byte verified, and the daemon stays small.
func TestTwoHundredAtOnce(t *testing.T) {
	n := size(t)
	daemon, err := program.Daemon(peertest.Context(t), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, daemon.Process)
	added, err := daemon.Do(peertest.Context(t), "add", "--in-place", randomFile(t, n))
	if err != nil {
		t.Fatal(err)
	}
	from, err := ticket.ParseBlob(added.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	took, sum := rush(t, from, uint64(n))
	peak, err := peer.PeakRSS(daemon.Pid())
	if err != nil {
		t.Fatal(err)
	}
	units := float64(n) / unit
	packets := float64(sum.Sent.Packets+sum.Received.Packets) / units
	t.Logf("%d peers, %d MiB in %s: %d dials, %d connections, %d requests, %d failed; peak memory of the daemon %d MB",
		crowd, n>>20, took, sum.Dials, sum.Connections, sum.Requests, sum.Failed, peak>>20)
	t.Logf("for each 256 KiB: %.4f requests, %.4f connections; %.0f bytes in UDP to the peers and %.0f from them, %.1f and %.1f packets",
		float64(sum.Requests)/units, float64(sum.Connections)/units, float64(sum.Received.Bytes)/units, float64(sum.Sent.Bytes)/units,
		float64(sum.Received.Packets)/units, float64(sum.Sent.Packets)/units)
	if sum.Failed > 0 || sum.Bytes != uint64(n) {
		t.Errorf("%d peers failed; %d of %d bytes came", sum.Failed, sum.Bytes, n)
	}
	if sum.Connections > crowd || float64(sum.Requests) > max(units, crowd) || packets > maxPackets {
		t.Errorf("too much for %.0f units: %+v", units, sum)
	}
	if peak > memoryLimit {
		t.Errorf("the daemon took %d MB, limit %d", peak>>20, memoryLimit>>20)
	}
}

// rush lets the crowd fetch, all at the same time.
func rush(t *testing.T, from ticket.Blob, n uint64) (took time.Duration, sum counts) {
	t.Helper()
	var mu sync.Mutex // guards sum
	var ready, done sync.WaitGroup
	ready.Add(crowd)
	start := make(chan struct{})
	groups := (n + bao.GroupSize - 1) / bao.GroupSize
	const perGroup = bao.GroupSize / bao.ChunkSize
	for i := range uint64(crowd) {
		e := listen(t, "127.0.0.1")
		part := bao.Span(groups*i/crowd*perGroup, groups*(i+1)/crowd*perGroup)
		done.Go(func() {
			ready.Done()
			<-start
			c, err := fetchRange(peertest.Context(t), e, from, part)
			if err != nil {
				c.Failed++
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(c)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began), sum
}

// fetchRange gets a range of a blob, verified, and keeps none of it.
func fetchRange(ctx context.Context, e *iroh.Endpoint, from ticket.Blob, part bao.Ranges) (c counts, err error) {
	c.Dials++
	conn, err := e.Dial(ctx, from.Addr, blobs.ALPN)
	if err != nil {
		return c, err
	}
	c.Connections++
	defer func() {
		info := conn.Info()
		c.traffic(info.Sent, info.Received)
		_ = conn.CloseWithError(blobs.CodeDropped, "")
	}()
	c.Requests++
	r, err := blobs.Get(ctx, conn, blobs.GetRequest{Hash: from.Hash, Ranges: blobs.OneBlob(part)}, 0)
	if err != nil {
		return c, err
	}
	defer r.Close()
	r.Next()
	if _, err = r.Open(from.Hash); err != nil {
		return c, err
	}
	for {
		item, err := r.Item()
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil:
			return c, err
		case item.Kind == bao.Leaf:
			c.Bytes += uint64(len(item.Data))
		}
	}
}
