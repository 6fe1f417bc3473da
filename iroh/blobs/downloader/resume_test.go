package downloader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// border is where one pair or group of an answer ends, and how many bytes of the blob are whole before it.
type border struct {
	at    int
	whole uint64
}

// borders lists those of a whole blob's answer, in order; the first is behind the size.
func borders(t *testing.T, data []byte) []border {
	t.Helper()
	hash, encoded := blobstest.Encode(t, data, bao.All())
	list := []border{{at: 8}}
	d := bao.NewDecoder(bytes.NewReader(encoded), hash, uint64(len(data)), bao.All())
	for {
		item, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		next := list[len(list)-1]
		next.at += len(item.Data)
		if item.Kind == bao.Leaf {
			next.whole += uint64(len(item.Data))
		}
		list = append(list, next)
	}
	if last := list[len(list)-1]; last.at != 8+len(encoded) || last.whole != uint64(len(data)) {
		t.Fatalf("%+v is not the end of %d bytes", last, 8+len(encoded))
	}
	return list
}

// TestResumeAtBorders cuts the answer at every place within 70 bytes of the end of a pair or a group: every group that was whole is kept,
// and no other byte is. At the end of each itself the rest is fetched by another call, which asks for nothing else.
func TestResumeAtBorders(t *testing.T) {
	around := 70 // more than a pair
	if testing.Short() {
		around = 2
	}
	data := blobstest.RandomBytes(17, 100_000)
	answer := blobstest.AnswerFor(t, data, bao.All())
	list := borders(t, data)
	var cuts []cut
	for at, whole := 0, uint64(0); at < len(answer); at++ {
		exact, near := false, false
		for _, b := range list {
			if b.at <= at {
				whole = b.whole
			}
			exact = exact || b.at == at
			near = near || b.at-around <= at && at <= b.at+around
		}
		if near {
			cuts = append(cuts, cut{at, whole, exact})
		}
	}
	groups := (len(data) + bao.GroupSize - 1) / bao.GroupSize
	t.Logf("%d cuts around %d borders of %d groups", len(cuts), len(list), groups)
	if len(list) != 2*groups || len(cuts) < 2*around*groups {
		t.Error("those are not all")
	}
	// A downloader waits a moment before it asks again, so many do it at once.
	const workers = 32
	var running sync.WaitGroup
	for worker := range workers {
		r := &resumer{t: t, data: data, answer: answer, store: blobstest.OpenStore(t), double: newDouble(t)}
		running.Go(func() {
			for i := worker; i < len(cuts) && !t.Failed(); i += workers {
				if err := r.try(cuts[i]); err != nil {
					t.Errorf("%+v: %v", cuts[i], err)
				}
			}
		})
	}
	running.Wait()
}

// cut is a place in an answer where it ends.
type cut struct {
	at    int
	whole uint64 // bytes of the blob in whole groups before it
	exact bool   // it is at the end of a pair or a group
}

// resumer is a store and a provider of one blob.
type resumer struct {
	t            *testing.T
	data, answer []byte
	store        *store.Store
	double       *double
}

func (r *resumer) try(c cut) error {
	hash := bao.Sum(r.data)
	d := New(Config{Store: r.store})
	r.double.set(func(n int, _ blobs.GetRequest, stream *quic.Stream) {
		if n > 0 {
			stream.CancelWrite(blobs.CodePermission)
			return
		}
		blobstest.Send(stream, r.answer[:c.at])
	})
	stats, err := d.FetchFrom(blobstest.Deadline(r.t), r.double.conn, hash, ticket.Raw, nil)
	if err == nil || stats.Bytes != c.whole {
		return fmt.Errorf("%d bytes kept; %w", stats.Bytes, err)
	}
	status, err := r.store.Status(hash)
	if err != nil || (status.State == store.Partial) != (c.whole > 0) || c.whole > 0 && !status.Ranges.Equal(bao.BytesSpan(0, c.whole)) {
		return fmt.Errorf("%v of %d bytes, %v, %w", status.State, status.Size, status.Ranges, err)
	}
	if c.exact {
		r.double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
			blobstest.Send(stream, honest(r.t, r.data, request))
		})
		stats, err := d.FetchFrom(blobstest.Deadline(r.t), r.double.conn, hash, ticket.Raw, nil)
		if err != nil || stats.Bytes != uint64(len(r.data))-c.whole {
			return fmt.Errorf("then %d of %d: %w", stats.Bytes, len(r.data), err)
		}
		blobstest.WantBlob(r.t, r.store, r.data)
	}
	return r.store.Delete(hash)
}
