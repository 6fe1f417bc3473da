package blobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// ladder are sizes around every boundary of the format.
var ladder = []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 100000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 12345}

// counting is a progress that checks what it hears.
type counting struct {
	mu    sync.Mutex
	blobs map[bao.Hash]uint64
	bytes uint64
}

func (c *counting) Blob(hash bao.Hash, size, _ uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blobs == nil {
		c.blobs = make(map[bao.Hash]uint64)
	}
	c.blobs[hash] = size
}

func (c *counting) Bytes(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += n
}

func TestFetchBlobs(t *testing.T) {
	from, to := openStore(t), openStore(t)
	addr := provide(t, ProviderConfig{Store: from})
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	for _, size := range ladder {
		data := pattern(size)
		hash := put(t, from, data)
		var progress counting
		stats, err := d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, &progress)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		wantBlob(t, to, data)
		want := Stats{Blobs: 1, Bytes: uint64(size), Requests: 1, Received: stats.Received, Took: stats.Took}
		if size == 0 {
			want.Blobs, want.Requests = 0, 0 // always there
		} else if len(progress.blobs) != 1 || progress.blobs[hash] != uint64(size) {
			t.Errorf("%d bytes: progress is %v", size, progress.blobs)
		}
		if p := stats.Providers[0]; len(stats.Providers) != 1 || p.ID != addr.ID || p.Bytes != want.Bytes || p.Requests != want.Requests || p.Err != nil {
			t.Errorf("%d bytes: provider %+v, want %+v", size, p, want)
		}
		stats.Providers = nil
		if !reflect.DeepEqual(stats, want) || progress.bytes != uint64(size) {
			t.Errorf("%d bytes: %+v, want %+v; progress %d", size, stats, want, progress.bytes)
		}
		if stats, err = d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil || stats.Requests != 0 {
			t.Errorf("%d bytes again: %+v, %v", size, stats, err)
		}
	}
}

// collection stores files and returns the root of their collection and all contents, metadata and hash sequence included.
func collection(t testing.TB, s *store.Store, files ...[]byte) (bao.Hash, [][]byte) {
	t.Helper()
	var c Collection
	for i, data := range files {
		c.Names = append(c.Names, fmt.Sprintf("folder/%d.bin", i))
		c.Hashes = append(c.Hashes, put(t, s, data))
	}
	meta := c.Meta()
	seq := c.HashSeq(put(t, s, meta))
	return put(t, s, seq), append(slices.Clone(files), meta, seq)
}

func TestFetchCollection(t *testing.T) {
	from, to := openStore(t), openStore(t)
	var files [][]byte
	for _, size := range append(ladder, 1024, 100000) { // two of them twice
		files = append(files, pattern(size))
	}
	root, contents := collection(t, from, files...)
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	stats, err := d.Fetch(deadline(t), []ticket.EndpointAddr{provide(t, ProviderConfig{Store: from})}, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range contents {
		wantBlob(t, to, data)
	}
	if stats.Requests != 2 || stats.Blobs != len(contents)-3 {
		t.Errorf("%+v", stats)
	}
}

// TestFetchPartsOfCollection fetches into a store that has some children, and asks for no byte of them.
func TestFetchPartsOfCollection(t *testing.T) {
	from, to := openStore(t), openStore(t)
	var files [][]byte
	var missing uint64
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		data := randomBytes(uint64(i), random.IntN(100000))
		files = append(files, data)
		switch i % 3 {
		case 0:
			put(t, to, data)
		case 1:
			groups := uint64(len(data)) / bao.GroupSize / 2 * bao.GroupSize
			if groups > 0 {
				putPart(t, to, data, groups)
			}
			missing += uint64(len(data)) - groups
		default:
			missing += uint64(len(data))
		}
	}
	root, contents := collection(t, from, files...)
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	stats, err := d.Fetch(deadline(t), []ticket.EndpointAddr{provide(t, ProviderConfig{Store: from})}, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range contents {
		wantBlob(t, to, data)
	}
	missing += uint64(len(contents[200]) + len(contents[201]))
	if stats.Requests != 2 || stats.Bytes != missing {
		t.Errorf("%+v, want %d bytes", stats, missing)
	}
}

// TestFetchMissingChild keeps all that there is and names what is not.
func TestFetchMissingChild(t *testing.T) {
	for _, at := range []int{0, 1, 150, 299} {
		from, to := openStore(t), openStore(t)
		var hashes []bao.Hash
		var files [][]byte
		for i := range 300 {
			files = append(files, randomBytes(uint64(i), 3000))
			if i == at {
				hashes = append(hashes, bao.Sum(files[i]))
				continue
			}
			hashes = append(hashes, put(t, from, files[i]))
		}
		root := put(t, from, AppendHashSeq(nil, hashes))
		d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
		_, err := d.Fetch(deadline(t), []ticket.EndpointAddr{provide(t, ProviderConfig{Store: from})}, root, ticket.HashSeq, nil)
		wantErr(t, err, ErrNotFound)
		for i := range at {
			wantBlob(t, to, files[i])
		}
	}
}

func TestFetchNotFound(t *testing.T) {
	d := NewDownloader(DownloaderConfig{Store: openStore(t), Endpoint: endpoint(t)})
	addr := provide(t, ProviderConfig{Store: openStore(t)})
	for _, format := range []ticket.Format{ticket.Raw, ticket.HashSeq} {
		_, err := d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, bao.Sum([]byte("nowhere")), format, nil)
		wantErr(t, err, ErrNotFound)
	}
	wantNothing(t, d.cfg.Store)
	_, err := d.Fetch(deadline(t), []ticket.EndpointAddr{{ID: addr.ID}}, bao.Sum([]byte("nowhere")), ticket.Raw, nil)
	if err == nil {
		t.Error("no address, no error")
	}
}

// TestFetchNotASequence asks for the children of a blob that has none.
func TestFetchNotASequence(t *testing.T) {
	from, to := openStore(t), openStore(t)
	hash := put(t, from, pattern(1025))
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	_, err := d.Fetch(deadline(t), []ticket.EndpointAddr{provide(t, ProviderConfig{Store: from})}, hash, ticket.HashSeq, nil)
	wantErr(t, err, ErrHashSeq)
}

// TestFetchCancelled stops at once, and what was verified is not asked for again.
func TestFetchCancelled(t *testing.T) {
	from, to := openStore(t), openStore(t)
	data := randomBytes(9, 32<<20)
	hash := put(t, from, data)
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	addr := provide(t, ProviderConfig{Store: from})
	ctx, cancel := context.WithCancel(deadline(t))
	start := time.Now()
	first, err := d.Fetch(ctx, []ticket.EndpointAddr{addr}, hash, ticket.Raw, &cancelAt{at: 8 << 20, cancel: cancel})
	wantErr(t, err, context.Canceled)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	second, err := d.Fetch(deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, to, data)
	if first.Bytes < 8<<20 || first.Bytes+second.Bytes != uint64(len(data)) {
		t.Errorf("%d bytes, then %d, of %d", first.Bytes, second.Bytes, len(data))
	}
}

type cancelAt struct {
	silent
	at     uint64
	sum    uint64
	cancel func()
}

func (c *cancelAt) Bytes(n uint64) {
	if c.sum += n; c.sum >= c.at {
		c.cancel()
	}
}

// TestFetchConcurrently fetches the same things many times at once.
func TestFetchConcurrently(t *testing.T) {
	from, to := openStore(t), openStore(t)
	var files [][]byte
	for i := range 40 {
		files = append(files, randomBytes(uint64(i), 20000*i))
	}
	root, contents := collection(t, from, files...)
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	addr := provide(t, ProviderConfig{Store: from})
	ctx := deadline(t)
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			if _, err := d.Fetch(ctx, []ticket.EndpointAddr{addr}, root, ticket.HashSeq, nil); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	for _, data := range contents {
		wantBlob(t, to, data)
	}
}

func TestFetchFromTheNextProvider(t *testing.T) {
	from, to := openStore(t), openStore(t)
	data := randomBytes(20, 300<<10)
	hash := put(t, from, data)
	d := NewDownloader(DownloaderConfig{Store: to, Endpoint: endpoint(t)})
	_, err := d.Fetch(deadline(t), nil, hash, ticket.Raw, nil)
	wantErr(t, err, ErrNoProvider)
	providers := []ticket.EndpointAddr{provide(t, ProviderConfig{Store: openStore(t)}), provide(t, ProviderConfig{Store: from})}
	stats, err := d.Fetch(deadline(t), providers, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, to, data)
	if p := stats.Providers; len(p) != 2 || p[1].Bytes != uint64(len(data)) || p[1].Err != nil || p[1].Connections != 1 || p[0].Bytes != 0 {
		t.Errorf("providers gave %+v", p)
	}
}
