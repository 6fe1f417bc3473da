package downloader

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func wireObserveItem(a blobs.Available) []byte {
	return wire.ObserveItem{Size: a.Size, Ranges: a.Ranges}.Append(nil)
}

// soon is less than waiting for one provider takes, on a machine that is busy.
const soon = 20 * time.Second

func addrs(of ...*script) (out []ticket.EndpointAddr) {
	for _, s := range of {
		out = append(out, s.addr)
	}
	return out
}

// whoGave sums what the providers gave and checks it against the whole.
func whoGave(t testing.TB, stats Stats, want uint64) {
	t.Helper()
	var bytes, received uint64
	requests := 0
	for _, p := range stats.Providers {
		bytes, received, requests = bytes+p.Bytes, received+p.Received, requests+p.Requests
	}
	if bytes != stats.Bytes || stats.Bytes != want || received != stats.Received || requests != stats.Requests {
		t.Errorf("%+v: providers gave %d bytes, %d read, %d requests; want %d bytes", stats, bytes, received, requests, want)
	}
}

// Four good providers share a large blob: everybody gives some of it, nothing is counted twice, and a second fetch asks for nothing.
func TestManyShareABlob(t *testing.T) {
	c := contentOf(t, blobstest.RandomBytes(1, 48<<20+12345))
	var providers []*script
	for range 4 {
		providers = append(providers, (&script{write: func(to *quic.Stream) io.Writer { return pacing{to, 20 << 20} }}).start(t, c))
	}
	to := blobstest.OpenStore(t)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	var progress blobstest.Counting
	stats, err := d.Fetch(blobstest.Deadline(t), addrs(providers...), c.hash, ticket.Raw, &progress)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, c.data)
	whoGave(t, stats, uint64(len(c.data)))
	progress.Whole(t)
	if progress.Total != uint64(len(c.data)) || progress.Sizes[c.hash] != uint64(len(c.data)) {
		t.Errorf("progress is %d bytes of %v", progress.Total, progress.Sizes)
	}
	for i, p := range stats.Providers {
		if p.Bytes < uint64(len(c.data))/8 || p.Connections != 1 || p.Err != nil || p.ID != providers[i].addr.ID {
			t.Errorf("provider %d gave %+v", i, p)
		}
	}
	if stats, err = d.Fetch(blobstest.Deadline(t), addrs(providers...), c.hash, ticket.Raw, nil); err != nil || stats.Requests != 0 {
		t.Errorf("again: %+v, %v", stats, err)
	}
}

// Providers of every bad kind beside one that is good: the blob is complete, soon, and who lied is told.
func TestManyWithOneGood(t *testing.T) {
	c := contentOf(t, blobstest.RandomBytes(2, 12<<20))
	groups := uint64(12<<20) / bao.GroupSize * perGroup
	for name, s := range map[string]struct {
		bad  *script
		want error // of the bad provider; nil is any
	}{
		"flips":            {&script{write: func(to *quic.Stream) io.Writer { return flipping{to} }}, bao.ErrHashMismatch},
		"stops":            {&script{write: stopAfter(3 << 20)}, nil},
		"says nothing":     {&script{begin: func(int, *iroh.Conn) bool { return false }}, blobs.ErrStalled},
		"1 B/s":            {&script{write: func(to *quic.Stream) io.Writer { return pacing{to, 1} }}, blobs.ErrStalled},
		"100 KB/s":         {&script{write: func(to *quic.Stream) io.Writer { return pacing{to, 100_000} }}, nil},
		"size too large":   {&script{claim: 48 << 20}, nil},
		"size too small":   {&script{claim: 1 << 20}, nil},
		"size of 2^63":     {&script{claim: 1 << 63}, nil},
		"no such blob":     {&script{}, nil},
		"half of it":       {&script{has: bao.Span(0, groups/2)}, nil},
		"half of it, 0.35": {&script{has: bao.Span(groups/2, groups), silent: true}, nil},
		"claims all":       {&script{has: bao.Span(0, 1024), says: &blobs.Available{Size: 12 << 20, Ranges: bao.All()}}, nil},
		"claims nothing":   {&script{says: &blobs.Available{}}, nil},
		"vanishes":         {&script{begin: vanishAfter(2)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "no such blob" {
				s.bad.start(t)
			} else {
				s.bad.start(t, c)
			}
			good := (&script{write: func(to *quic.Stream) io.Writer { return pacing{to, 8 << 20} }}).start(t, c)
			to := blobstest.OpenStore(t)
			d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
			var progress blobstest.Counting
			stats, err := d.Fetch(blobstest.Deadline(t), addrs(s.bad, good), c.hash, ticket.Raw, &progress)
			if err != nil {
				t.Fatal(err)
			}
			progress.Whole(t)
			blobstest.WantBlob(t, to, c.data)
			whoGave(t, stats, uint64(len(c.data)))
			if bad := stats.Providers[0]; s.want != nil && !errors.Is(bad.Err, s.want) {
				t.Errorf("the bad provider's error is %v, want %v", bad.Err, s.want)
			}
			if dup := stats.Providers[0].Duplicate + stats.Providers[1].Duplicate; dup > maxSpan {
				t.Errorf("%d bytes came twice", dup)
			}
			if stats.Took > soon {
				t.Errorf("took %s", stats.Took)
			}
			t.Logf("%s, %+v", stats.Took, stats.Providers)
		})
	}
}

func stopAfter(n int64) func(*quic.Stream) io.Writer {
	var left atomic.Int64
	left.Store(n)
	return func(to *quic.Stream) io.Writer { return stopping{to, &left} }
}

// vanishAfter closes the connection at the request with that number, and each one that comes after.
func vanishAfter(n int) func(int, *iroh.Conn) bool {
	return func(number int, conn *iroh.Conn) bool {
		if number < n {
			return true
		}
		_ = conn.CloseWithError(0, "")
		return false
	}
}

// All providers are bad in some way: the error tells of all, nothing that is wrong is kept, and a good one completes the blob.
func TestManyAllBad(t *testing.T) {
	c := contentOf(t, blobstest.RandomBytes(3, 8<<20))
	to := blobstest.OpenStore(t)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t), StallTimeout: 5 * time.Second})
	var liars []*script
	for range 3 {
		liars = append(liars, (&script{write: func(to *quic.Stream) io.Writer { return flipping{to} }}).start(t, c))
	}
	stats, err := d.Fetch(blobstest.Deadline(t), addrs(liars...), c.hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, bao.ErrHashMismatch)
	blobstest.WantNothing(t, to)
	for _, p := range stats.Providers {
		blobstest.WantErr(t, p.Err, bao.ErrHashMismatch)
	}
	// Each claims another size.
	liars = nil
	for i := range 3 {
		liars = append(liars, (&script{claim: uint64(i+1) << 20}).start(t, c))
	}
	_, err = d.Fetch(blobstest.Deadline(t), addrs(liars...), c.hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, bao.ErrHashMismatch)
	blobstest.WantNothing(t, to)
	// All of them vanish in the middle.
	var gone []*script
	for range 3 {
		gone = append(gone, (&script{begin: vanishAfter(2)}).start(t, c))
	}
	stats, err = d.Fetch(blobstest.Deadline(t), addrs(gone...), c.hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, blobs.ErrLost)
	status, statusErr := to.Status(c.hash)
	if statusErr != nil || status.State != store.Partial || stats.Bytes == 0 {
		t.Fatalf("%+v, %v after %+v", status, statusErr, stats)
	}
	good := (&script{}).start(t, c)
	again, err := d.Fetch(blobstest.Deadline(t), addrs(slices.Concat(liars, []*script{good})...), c.hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, c.data)
	whoGave(t, again, uint64(len(c.data))-stats.Bytes)
}

// Of 50 providers 45 do not exist, and the good ones are the last.
func TestManyDead(t *testing.T) {
	c := contentOf(t, blobstest.RandomBytes(4, 20<<20))
	var from []ticket.EndpointAddr
	for range 45 {
		secret, err := key.GenerateSecretKey()
		if err != nil {
			t.Fatal(err)
		}
		nobody := blobstest.Endpoint(t).Addr() // answers, but as another
		from = append(from, ticket.EndpointAddr{ID: secret.ID(), Direct: nobody.Direct})
	}
	var good []*script
	for range 5 {
		good = append(good, (&script{}).start(t, c))
	}
	to := blobstest.OpenStore(t)
	d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
	stats, err := d.Fetch(blobstest.Deadline(t), append(from, addrs(good...)...), c.hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, c.data)
	whoGave(t, stats, uint64(len(c.data)))
	if stats.Took > soon {
		t.Errorf("took %s", stats.Took)
	}
	t.Log(stats.Took)
}

// A collection with small children and a large one, from three providers of which one lies and one is slow.
func TestManyShareASequence(t *testing.T) {
	var all []*content
	var seq []byte
	var want uint64
	for i := range 800 {
		size := 4096
		switch {
		case i == 300:
			size = 20 << 20
		case i%100 == 0:
			size = 200_000
		}
		c := contentOf(t, blobstest.RandomBytes(uint64(100+i), size))
		all = append(all, c)
		seq = append(seq, c.hash[:]...)
		want += uint64(size)
	}
	root := contentOf(t, seq)
	everything := slices.Concat(all, []*content{root})
	for name, bad := range map[string]*script{
		"good":  {},
		"lies":  {write: func(to *quic.Stream) io.Writer { return flipping{to} }},
		"slow":  {write: func(to *quic.Stream) io.Writer { return pacing{to, 50_000} }},
		"stops": {write: stopAfter(1 << 20)},
		"lacks": {},
	} {
		t.Run(name, func(t *testing.T) {
			bad.start(t, everything...)
			if name == "lacks" {
				for _, i := range []int{5, 6, 7, 500, 799} {
					delete(bad.blobs, all[i].hash)
				}
			}
			providers := []*script{bad}
			for range 2 {
				providers = append(providers, (&script{}).start(t, everything...))
			}
			to := blobstest.OpenStore(t)
			d := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)})
			var progress blobstest.Counting
			stats, err := d.Fetch(blobstest.Deadline(t), addrs(providers...), root.hash, ticket.HashSeq, &progress)
			if err != nil {
				t.Fatal(err)
			}
			progress.Whole(t)
			for _, c := range everything {
				if status, err := to.Status(c.hash); err != nil || status.State != store.Complete {
					t.Fatalf("%v is %v, %v", c.hash.ShortString(), status.State, err)
				}
			}
			thrown := uint64(0)
			if name == "lies" { // what came of a child of which something else did not verify
				thrown = stats.Bytes - want - uint64(len(seq))
			}
			if whoGave(t, stats, want+uint64(len(seq))+thrown); thrown > 200_000 {
				t.Errorf("%d bytes were thrown away", thrown)
			}
			if stats.Blobs != 801 {
				t.Errorf("%d blobs", stats.Blobs)
			}
			t.Log(stats.Took, fmt.Sprintf("%+v", stats.Providers))
			if stats.Took > soon {
				t.Errorf("took %s", stats.Took)
			}
		})
	}
}
