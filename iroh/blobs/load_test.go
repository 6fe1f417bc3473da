package blobs

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	s := openStore(t)
	hash := put(t, s, randomBytes(1, 4<<20))
	e := endpoint(t)
	var handled atomic.Int64
	counting := policyFunc(func(bao.Hash) bool { handled.Add(1); return true })
	p := NewProvider(ProviderConfig{Store: s, Policy: counting})
	const maxStreams = 100
	accept(t, e, func(ctx context.Context, conn *iroh.Conn) { _ = p.Serve(ctx, conn) })
	conn, err := endpoint(t).Dial(deadline(t), e.Addr(), ALPN)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	ctx, cancel := context.WithCancel(deadline(t))
	var openers sync.WaitGroup
	var opened atomic.Int64
	for range 10_000 {
		openers.Go(func() {
			stream, err := conn.OpenStream(ctx)
			if err != nil {
				return
			}
			opened.Add(1)
			_, _ = stream.Write(GetRequest{Hash: hash, Ranges: WholeBlob()}.Append(nil))
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
	s := openStore(t)
	data := randomBytes(2, 8<<20)
	hash := put(t, s, data)
	addr := provide(t, ProviderConfig{Store: s, IdleTimeout: time.Second})
	request := GetRequest{Hash: hash, Ranges: WholeBlob()}.Append(nil)
	client := endpoint(t)
	start := time.Now()
	var slow sync.WaitGroup
	for i := range 50 {
		conn, err := client.Dial(deadline(t), addr, ALPN)
		if err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			defer func() { _ = conn.CloseWithError(0, "") }()
			stream, err := conn.OpenStream(deadline(t))
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
				if end := streamEnd(err); end != "Reset(2)" {
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
	d := NewDownloader(DownloaderConfig{Store: openStore(t), Endpoint: endpoint(t)})
	if _, err := d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil {
		t.Error(err)
	}
	slow.Wait()
}

// TestProviderLongRequests sends many requests of nearly 1 MiB at once: some are answered, the others refused, none waits for another.
func TestProviderLongRequests(t *testing.T) {
	s := openStore(t)
	hash := put(t, s, AppendHashSeq(nil, []bao.Hash{put(t, s, pattern(100))}))
	var seq ChunkRangesSeq
	for i := range uint64(200_000) {
		seq = seq.Add(1+2*i, bao.All())
	}
	request := GetRequest{Hash: hash, Ranges: seq}.Append(nil)
	if len(request) < 900<<10 {
		t.Fatalf("request of %d bytes", len(request))
	}
	conn := dial(t, provide(t, ProviderConfig{Store: s}))
	var running sync.WaitGroup
	var answered atomic.Int64
	for range 50 {
		running.Go(func() {
			received, end := exchange(t, conn, request, true, 10*time.Second)
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
		if received, end := exchange(t, conn, request, true, 10*time.Second); end != "FIN" || len(received) != 108 {
			t.Errorf("alone: %d bytes, %s", len(received), end)
		}
	}
}

// TestManySmallFiles fetches 10,000 blobs of 4 KiB, in two requests.
func TestManySmallFiles(t *testing.T) {
	from, to := openStore(t), openStore(t)
	var hashes []bao.Hash
	for i := range 10_000 {
		hashes = append(hashes, put(t, from, randomBytes(uint64(i), 4096)))
	}
	root := put(t, from, AppendHashSeq(nil, hashes))
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	addr := provide(t, ProviderConfig{Store: from})
	stats, err := d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stats)
	if stats.Requests != 2 || stats.Blobs != 10_001 {
		t.Errorf("%+v", stats)
	}
	if stats, err = d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, root, ticket.HashSeq, nil); err != nil || stats.Requests != 0 {
		t.Errorf("again: %+v, %v", stats, err)
	}
}

// BenchmarkFetch fetches one large blob between two endpoints of this process.
func BenchmarkFetch(b *testing.B) {
	const size = 256 << 20
	from, to := openStore(b), openStore(b)
	hash := put(b, from, randomBytes(3, size))
	addr := provide(b, ProviderConfig{Store: from})
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(b)})
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
	from := openStore(b)
	var hashes []bao.Hash
	for i := range 10_000 {
		hashes = append(hashes, put(b, from, randomBytes(uint64(i), 4096)))
	}
	root := put(b, from, AppendHashSeq(nil, hashes))
	addr := provide(b, ProviderConfig{Store: from})
	client := endpoint(b)
	b.SetBytes(10_000 * 4096)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		d := NewDownloader(DownloaderConfig{Store: openStore(b), Endpoint: client})
		b.StartTimer()
		if _, err := d.Fetch(context.Background(), []ticket.EndpointAddr{addr}, root, ticket.HashSeq, nil); err != nil {
			b.Fatal(err)
		}
	}
}
