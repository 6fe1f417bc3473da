package blobs_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// heap is what lives after everything dead was collected.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestProviderFlood opens 10,000 streams over one connection, each asking for a large blob that is not read: no more than 100 are
// served at once, memory stays bounded, and comes back.
func TestProviderFlood(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobstest.RandomBytes(1, 4<<20))
	e := blobstest.Endpoint(t)
	var handled atomic.Int64
	counting := blobstest.PolicyFunc(func(bao.Hash) bool { handled.Add(1); return true })
	p := blobs.NewProvider(blobs.ProviderConfig{Store: s, Policy: counting})
	const maxStreams = 100
	blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) { _ = p.Serve(ctx, conn) })
	conn, err := blobstest.Endpoint(t).Dial(blobstest.Deadline(t), e.Addr(), blobs.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	ctx, cancel := context.WithCancel(blobstest.Deadline(t))
	var openers sync.WaitGroup
	var opened atomic.Int64
	for range 10_000 {
		openers.Go(func() {
			stream, err := conn.OpenStream(ctx)
			if err != nil {
				return
			}
			opened.Add(1)
			_, _ = stream.Write(blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil))
			_ = stream.Close()
		})
	}
	time.Sleep(2 * time.Second)
	if n := handled.Load(); n > maxStreams || n == 0 {
		t.Errorf("%d requests handled at once", n)
	}
	if n := opened.Load(); n > maxStreams {
		t.Errorf("%d streams opened at once", n)
	}
	full := heap()
	if full > before+64<<20 {
		t.Errorf("heap grew by %d MiB", (full-before)>>20)
	}
	t.Logf("heap: %d KiB, then %d KiB with %d requests handled", before>>10, full>>10, handled.Load())
	cancel()
	openers.Wait()
	_ = conn.CloseWithError(0, "")
	conn = nil // and with it what was received and not read
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		if heap() < before+8<<20 {
			return
		}
	}
	t.Errorf("heap is %d MiB above what it was", (heap()-before)>>20)
}

// TestProviderSlow has peers that send a request a byte at a time, and peers that do not read: all are cut off, and a good client is
// served meanwhile.
func TestProviderSlow(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(2, 8<<20)
	hash := blobstest.Put(t, s, data)
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: s, IdleTimeout: time.Second})
	request := blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil)
	client := blobstest.Endpoint(t)
	start := time.Now()
	var slow sync.WaitGroup
	for i := range 50 {
		conn, err := client.Dial(blobstest.Deadline(t), addr, blobs.ALPN)
		if err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			defer func() { _ = conn.CloseWithError(0, "") }()
			stream, err := conn.OpenStream(blobstest.Deadline(t))
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 0 { // hardly reads
				_, _ = stream.Write(request)
				_ = stream.Close()
				for err == nil && time.Since(start) < 30*time.Second {
					time.Sleep(100 * time.Millisecond)
					_, err = stream.Read(make([]byte, 1))
				}
				if end := blobstest.StreamEnd(err); end != "Reset(2)" {
					t.Errorf("slow reader sees %s", end)
				}
				return
			}
			for j := 0; conn.Context().Err() == nil; j++ {
				_, _ = stream.Write(request[j%30 : j%30+1])
				select {
				case <-conn.Done():
				case <-time.After(200 * time.Millisecond):
				}
				if time.Since(start) > 30*time.Second {
					t.Error("slow writer is not cut off")
					return
				}
			}
		})
	}
	d := downloader.New(downloader.Config{Store: blobstest.OpenStore(t), Endpoint: blobstest.Endpoint(t)})
	if _, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil {
		t.Error(err)
	}
	slow.Wait()
}

// TestProviderLongRequests sends many requests of nearly 1 MiB at once: some are answered, the others refused, none waits for another.
func TestProviderLongRequests(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobs.AppendHashSeq(nil, []bao.Hash{blobstest.Put(t, s, blobstest.Pattern(100))}))
	var seq blobs.ChunkRangesSeq
	for i := range uint64(200_000) {
		seq = seq.Add(1+2*i, bao.All())
	}
	request := blobs.GetRequest{Hash: hash, Ranges: seq}.Append(nil)
	if len(request) < 900<<10 {
		t.Fatalf("request of %d bytes", len(request))
	}
	conn := blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: s}))
	var running sync.WaitGroup
	var answered atomic.Int64
	for range 50 {
		running.Go(func() {
			received, end := blobstest.Exchange(t, conn, request, true, time.Minute)
			if end == "FIN" && len(received) == 108 {
				answered.Add(1)
			} else if end != "Reset(2)" {
				t.Errorf("%d bytes, %s", len(received), end)
			}
		})
	}
	running.Wait()
	if n := answered.Load(); n == 0 {
		t.Error("none is answered")
	}
	for range 10 {
		if received, end := blobstest.Exchange(t, conn, request, true, time.Minute); end != "FIN" || len(received) != 108 {
			t.Errorf("alone: %d bytes, %s", len(received), end)
		}
	}
}

// TestManySmallFiles fetches 10,000 blobs of 4 KiB, a thousand and more in each request.
func TestManySmallFiles(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var hashes []bao.Hash
	for i := range 10_000 {
		hashes = append(hashes, blobstest.Put(t, from, blobstest.RandomBytes(uint64(i), 4096)))
	}
	root := blobstest.Put(t, from, blobs.AppendHashSeq(nil, hashes))
	d := downloader.New(downloader.Config{Store: to})
	conn := blobstest.Near{Conn: blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: from}))}
	stats, err := d.FetchFrom(blobstest.Deadline(t), conn, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stats)
	if stats.Requests > 11 || stats.Blobs != 10_001 {
		t.Errorf("%+v", stats)
	}
	if stats, err = d.FetchFrom(blobstest.Deadline(t), conn, root, ticket.HashSeq, nil); err != nil || stats.Requests != 0 {
		t.Errorf("again: %+v, %v", stats, err)
	}
}

// BenchmarkFetch fetches one large blob between two endpoints of this process.
func BenchmarkFetch(b *testing.B) {
	const size = 256 << 20
	from, to := blobstest.OpenStore(b), blobstest.OpenStore(b)
	hash := blobstest.Put(b, from, blobstest.RandomBytes(3, size))
	addr := blobstest.Provide(b, blobs.ProviderConfig{Store: from})
	d := downloader.New(downloader.Config{Store: to, Endpoint: blobstest.Endpoint(b)})
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Fetch(context.Background(), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := to.Delete(hash); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkFetchSmall fetches 10,000 blobs of 4 KiB.
func BenchmarkFetchSmall(b *testing.B) {
	from := blobstest.OpenStore(b)
	var hashes []bao.Hash
	for i := range 10_000 {
		hashes = append(hashes, blobstest.Put(b, from, blobstest.RandomBytes(uint64(i), 4096)))
	}
	root := blobstest.Put(b, from, blobs.AppendHashSeq(nil, hashes))
	addr := blobstest.Provide(b, blobs.ProviderConfig{Store: from})
	client := blobstest.Endpoint(b)
	b.SetBytes(10_000 * 4096)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		d := downloader.New(downloader.Config{Store: blobstest.OpenStore(b), Endpoint: client})
		b.StartTimer()
		if _, err := d.Fetch(context.Background(), []ticket.EndpointAddr{addr}, root, ticket.HashSeq, nil); err != nil {
			b.Fatal(err)
		}
	}
}
