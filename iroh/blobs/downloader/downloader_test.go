package downloader

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestFetchBlobs(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: from})
	conn := blobstest.Near{Conn: blobstest.Dial(t, addr)}
	d := New(Config{Store: to})
	for _, size := range blobstest.Ladder {
		data := blobstest.Pattern(size)
		hash := blobstest.Put(t, from, data)
		var progress blobstest.Counting
		stats, err := d.FetchFrom(blobstest.Deadline(t), conn, hash, ticket.Raw, &progress)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		blobstest.WantBlob(t, to, data)
		want := Stats{Blobs: 1, Bytes: uint64(size), Requests: 1, Received: stats.Received, Took: stats.Took}
		if size == 0 {
			want.Blobs, want.Requests = 0, 0 // always there
		} else if len(progress.Sizes) != 1 || progress.Sizes[hash] != uint64(size) {
			t.Errorf("%d bytes: progress is %v", size, progress.Sizes)
		}
		if p := stats.Providers[0]; len(stats.Providers) != 1 || p.ID != addr.ID || p.Bytes != want.Bytes || p.Requests != want.Requests || p.Err != nil {
			t.Errorf("%d bytes: provider %+v, want %+v", size, p, want)
		}
		stats.Providers = nil
		if !reflect.DeepEqual(stats, want) || progress.Total != uint64(size) {
			t.Errorf("%d bytes: %+v, want %+v; progress %d", size, stats, want, progress.Total)
		}
		if stats, err = d.FetchFrom(blobstest.Deadline(t), conn, hash, ticket.Raw, nil); err != nil || stats.Requests != 0 {
			t.Errorf("%d bytes again: %+v, %v", size, stats, err)
		}
	}
}

func TestFetchCollection(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var files [][]byte
	for _, size := range append(blobstest.Ladder, 1024, 100000) { // two of them twice
		files = append(files, blobstest.Pattern(size))
	}
	root, contents := blobstest.Collection(t, from, files...)
	conn := blobstest.Near{Conn: blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: from}))}
	stats, err := New(Config{Store: to}).FetchFrom(blobstest.Deadline(t), conn, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range contents {
		blobstest.WantBlob(t, to, data)
	}
	if stats.Requests != 2 || stats.Blobs != len(contents)-3 {
		t.Errorf("%+v", stats)
	}
}

// TestFetchPartsOfCollection fetches into a store that has some children, and asks for no byte of them.
func TestFetchPartsOfCollection(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var files [][]byte
	var missing uint64
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		data := blobstest.RandomBytes(uint64(i), random.IntN(100000))
		files = append(files, data)
		switch i % 3 {
		case 0:
			blobstest.Put(t, to, data)
		case 1:
			groups := uint64(len(data)) / bao.GroupSize / 2 * bao.GroupSize
			if groups > 0 {
				blobstest.PutPart(t, to, data, groups)
			}
			missing += uint64(len(data)) - groups
		default:
			missing += uint64(len(data))
		}
	}
	root, contents := blobstest.Collection(t, from, files...)
	conn := blobstest.Near{Conn: blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: from}))}
	stats, err := New(Config{Store: to}).FetchFrom(blobstest.Deadline(t), conn, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range contents {
		blobstest.WantBlob(t, to, data)
	}
	missing += uint64(len(contents[200]) + len(contents[201]))
	if stats.Requests != 2 || stats.Bytes != missing {
		t.Errorf("%+v, want %d bytes", stats, missing)
	}
}

// TestFetchMissingChild keeps all that there is and names what is not.
func TestFetchMissingChild(t *testing.T) {
	for _, at := range []int{0, 1, 150, 299} {
		from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
		var hashes []bao.Hash
		var files [][]byte
		for i := range 300 {
			files = append(files, blobstest.RandomBytes(uint64(i), 3000))
			if i == at {
				hashes = append(hashes, bao.Sum(files[i]))
				continue
			}
			hashes = append(hashes, blobstest.Put(t, from, files[i]))
		}
		root := blobstest.Put(t, from, blobs.AppendHashSeq(nil, hashes))
		d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
		_, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{blobstest.Provide(t, blobs.ProviderConfig{Store: from})}, root, ticket.HashSeq, nil)
		blobstest.WantErr(t, err, blobs.ErrNotFound)
		for i := range at {
			blobstest.WantBlob(t, to, files[i])
		}
	}
}

func TestFetchNotFound(t *testing.T) {
	d := New(Config{Store: blobstest.OpenStore(t), Endpoint: blobstest.Endpoint(t)})
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: blobstest.OpenStore(t)})
	for _, format := range []ticket.Format{ticket.Raw, ticket.HashSeq} {
		_, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, bao.Sum([]byte("nowhere")), format, nil)
		blobstest.WantErr(t, err, blobs.ErrNotFound)
	}
	blobstest.WantNothing(t, d.cfg.Store)
	_, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{{ID: addr.ID}}, bao.Sum([]byte("nowhere")), ticket.Raw, nil)
	if err == nil {
		t.Error("no address, no error")
	}
}

// TestFetchNotASequence asks for the children of a blob that has none.
func TestFetchNotASequence(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	hash := blobstest.Put(t, from, blobstest.Pattern(1025))
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	_, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{blobstest.Provide(t, blobs.ProviderConfig{Store: from})}, hash, ticket.HashSeq, nil)
	blobstest.WantErr(t, err, blobs.ErrHashSeq)
}

// TestFetchCancelled stops at once, and what was verified is not asked for again.
func TestFetchCancelled(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	data := blobstest.RandomBytes(9, 32<<20)
	hash := blobstest.Put(t, from, data)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: from})
	ctx, cancel := context.WithCancel(blobstest.Deadline(t))
	start := time.Now()
	first, err := d.Fetch(ctx, []ticket.EndpointAddr{addr}, hash, ticket.Raw, &cancelAt{at: 8 << 20, cancel: cancel})
	blobstest.WantErr(t, err, context.Canceled)
	if took := time.Since(start); took > soon {
		t.Errorf("took %v", took)
	}
	second, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, data)
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

func (c *cancelAt) Bytes(_ bao.Hash, n uint64) {
	if c.sum += n; c.sum >= c.at {
		c.cancel()
	}
}

// TestFetchConcurrently fetches the same things many times at once.
func TestFetchConcurrently(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var files [][]byte
	for i := range 40 {
		files = append(files, blobstest.RandomBytes(uint64(i), 20000*i))
	}
	root, contents := blobstest.Collection(t, from, files...)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: from})
	ctx := blobstest.Deadline(t)
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
		blobstest.WantBlob(t, to, data)
	}
}

func TestFetchFromTheNextProvider(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	data := blobstest.RandomBytes(20, 300<<10)
	hash := blobstest.Put(t, from, data)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	_, err := d.Fetch(blobstest.Deadline(t), nil, hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, ErrNoProvider)
	providers := []ticket.EndpointAddr{blobstest.Provide(t, blobs.ProviderConfig{Store: blobstest.OpenStore(t)}), blobstest.Provide(t, blobs.ProviderConfig{Store: from})}
	stats, err := d.Fetch(blobstest.Deadline(t), providers, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, data)
	if p := stats.Providers; len(p) != 2 || p[1].Bytes != uint64(len(data)) || p[1].Err != nil || p[1].Connections != 1 || p[0].Bytes != 0 {
		t.Errorf("providers gave %+v", p)
	}
}
