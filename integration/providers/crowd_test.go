package providers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const (
	// crowd is how many peers come at once.
	crowd = 200
	// memoryLimit is what the serving process may take, at its peak.
	memoryLimit = 500 << 20
	// unit is what messages, bytes and connections are counted for.
	unit = 256 << 10
	// maxPackets is how many packets for 256 KiB are allowed, both ways: 1,200 bytes each at the least, and as many again for acknowledgements and what
	// is sent twice.
	maxPackets = 2 * unit / 1200 * 2

	serveEnv = "BRIDGE_PROVIDERS_SERVE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(serveEnv); path != "" {
		if err := serve(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// served is what the serving process says, when it is ready and in the end.
type served struct {
	Ticket      string // when it is ready
	Connections int64
	Requests    int64 // messages that were read
	Failed      int64
	Bytes       uint64       // of answers
	In, Out     iroh.Traffic // UDP payloads
}

// serve is the other process: it adds a file, serves it until stdin is closed, and says what was asked of it.
func serve(path string) error {
	dir, err := os.MkdirTemp("", "crowd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		return err
	}
	defer s.Close()
	hash, err := addInPlace(s, path)
	if err != nil {
		return err
	}
	counts := &counting{}
	e, err := endpoint("127.0.0.1")
	if err != nil {
		return err
	}
	defer e.Close()
	p := blobs.NewProvider(blobs.ProviderConfig{Store: s, Events: counts})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		for {
			conn, err := e.Accept(ctx)
			if err != nil {
				return
			}
			counts.connections.Add(1)
			running.Go(func() {
				_ = p.Serve(ctx, conn)
				counts.traffic(conn.Info())
			})
		}
	})
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(served{Ticket: ticket.Blob{Addr: e.Addr(), Hash: hash, Format: ticket.Raw}.String()}); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	running.Wait()
	return out.Encode(counts.sum())
}

// addInPlace adds a file without copying it.
func addInPlace(s *store.Store, path string) (bao.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return bao.Hash{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return bao.Hash{}, err
	}
	w, err := s.NewInPlaceWriter(path, info)
	if err != nil {
		return bao.Hash{}, err
	}
	defer w.Abort()
	n, buf := uint64(info.Size()), make([]byte, bao.PieceSize)
	for off := uint64(0); off < n; off += bao.PieceSize {
		piece := buf[:min(bao.PieceSize, n-off)]
		if _, err := io.ReadFull(f, piece); err != nil {
			return bao.Hash{}, err
		}
		if err := w.Add(bao.HashPiece(piece, off, n), nil); err != nil {
			return bao.Hash{}, err
		}
	}
	return w.Commit(context.Background())
}

// counting counts what a provider does.
type counting struct {
	connections, requests, failed atomic.Int64
	bytes                         atomic.Uint64

	mu      sync.Mutex
	in, out iroh.Traffic
}

func (c *counting) Event(e provider.Event) {
	switch e.Kind {
	case provider.Requested:
		c.requests.Add(1)
	case provider.Completed:
		c.bytes.Add(e.Bytes)
	case provider.Aborted, provider.Refused:
		c.failed.Add(1)
	}
}

func (c *counting) traffic(of iroh.ConnInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Bytes += of.Received.Bytes
	c.in.Packets += of.Received.Packets
	c.out.Bytes += of.Sent.Bytes
	c.out.Packets += of.Sent.Packets
}

func (c *counting) sum() served {
	c.mu.Lock()
	defer c.mu.Unlock()
	return served{
		Connections: c.connections.Load(), Requests: c.requests.Load(), Failed: c.failed.Load(), Bytes: c.bytes.Load(), In: c.in, Out: c.out,
	}
}

// 200 peers at once, each with a key and a socket of its own, get a different range of one blob each from a provider in a process of its own: all
// succeed, every byte verified, and the process stays small.
func TestTwoHundredAtOnce(t *testing.T) {
	n := size(t)
	path := randomFile(t, n)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(exe)
	server.Env = append(os.Environ(), serveEnv+"="+path)
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	said := json.NewDecoder(bufio.NewReader(stdout))
	var ready, sum served
	if err := said.Decode(&ready); err != nil {
		t.Fatal(err)
	}
	from, err := ticket.ParseBlob(ready.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	took, got, again, failed := rush(t, from, uint64(n))
	peak, err := peer.PeakRSS(server.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := said.Decode(&sum); err != nil {
		t.Fatal(err)
	}
	units := float64(n) / unit
	packets := float64(sum.In.Packets+sum.Out.Packets) / units
	t.Logf("%d peers, %d MiB in %s: %d connections, %d requests (%d failed), %d times asked again; peak memory of the provider %d MB",
		crowd, n>>20, took, sum.Connections, sum.Requests, sum.Failed, again, peak>>20)
	t.Logf("for each 256 KiB: %.4f requests, %.4f connections, %.0f bytes of answers, %.0f and %.0f bytes in UDP out and in, %.1f and %.1f packets",
		float64(sum.Requests)/units, float64(sum.Connections)/units, float64(sum.Bytes)/units, float64(sum.Out.Bytes)/units, float64(sum.In.Bytes)/units,
		float64(sum.Out.Packets)/units, float64(sum.In.Packets)/units)
	if failed > 0 || got != uint64(n) || sum.Failed > 0 {
		t.Errorf("%d peers failed; %d of %d bytes came, %d requests were not answered", failed, got, n, sum.Failed)
	}
	if sum.Connections > crowd+again || float64(sum.Requests) > max(units, crowd) || packets > maxPackets {
		t.Errorf("too much for %.0f units: %+v", units, sum)
	}
	if peak > memoryLimit {
		t.Errorf("the provider took %d MB, limit %d", peak>>20, memoryLimit>>20)
	}
}

// rush lets the crowd fetch, all at the same time, and returns how many bytes came, how often a peer had to ask again, and how many failed.
func rush(t *testing.T, from ticket.Blob, n uint64) (took time.Duration, got uint64, again, failed int64) {
	t.Helper()
	var bytes atomic.Uint64
	var failures, repeated atomic.Int64
	var ready, done sync.WaitGroup
	ready.Add(crowd)
	start := make(chan struct{})
	groups := (n + bao.GroupSize - 1) / bao.GroupSize
	const perGroup = bao.GroupSize / bao.ChunkSize
	for i := range uint64(crowd) {
		// Each is a host of its own: an endpoint bounds the handshakes of one.
		e := listen(t, fmt.Sprintf("127.0.1.%d", i+1))
		part := bao.Span(groups*i/crowd*perGroup, groups*(i+1)/crowd*perGroup)
		done.Go(func() {
			ready.Done()
			<-start
			k, again, err := persist(peertest.Context(t), e, from, part)
			repeated.Add(again)
			if bytes.Add(k); err != nil {
				failures.Add(1)
				t.Error(err)
			}
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began), bytes.Load(), repeated.Load(), failures.Load()
}

// attempts is how often in a row a peer asks, as the downloader does: a provider whose queue of new connections is full refuses those that
// come at the same moment.
const attempts = 3

// persist gets a range of a blob, and asks again for what did not come. again is how often.
func persist(ctx context.Context, e *iroh.Endpoint, from ticket.Blob, part bao.Ranges) (got uint64, again int64, err error) {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		n, err := fetchRange(ctx, e, from, part)
		if got += n; err == nil {
			return got, again, nil
		}
		if again++; again == attempts {
			return got, again, err
		}
		part = bao.Span(part[0]+n/bao.ChunkSize, part[1])
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return got, again, ctx.Err()
		}
	}
}

// fetchRange gets a range of a blob, verified, and keeps none of it.
func fetchRange(ctx context.Context, e *iroh.Endpoint, from ticket.Blob, part bao.Ranges) (got uint64, err error) {
	conn, err := e.Dial(ctx, from.Addr, blobs.ALPN)
	if err != nil {
		return 0, err
	}
	defer conn.CloseWithError(blobs.CodeDropped, "")
	r, err := blobs.Get(ctx, conn, blobs.GetRequest{Hash: from.Hash, Ranges: blobs.OneBlob(part)}, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	r.Next()
	if _, err = r.Open(from.Hash); err != nil {
		return 0, err
	}
	for {
		item, err := r.Item()
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, err
		case item.Kind == bao.Leaf:
			got += uint64(len(item.Data))
		}
	}
}
