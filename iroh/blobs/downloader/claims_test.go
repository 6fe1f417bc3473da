package downloader

import (
	"context"
	"io"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// A provider that claims without end is heard at a rate, and those that have the blob are not held up.
func TestEndlessClaims(t *testing.T) {
	c := contentOf(t, blobstest.RandomBytes(40, 24<<20))
	var sent atomic.Int64
	claim := blobs.Available{Size: uint64(len(c.data))}
	for chunk := uint64(0); chunk < 4000; chunk += 4 {
		claim.Ranges = append(claim.Ranges, chunk, chunk+2) // never a whole group
	}
	hostile := (&script{claims: func(ctx context.Context, stream *quic.Stream) {
		for item := wireObserveItem(claim); ; sent.Add(1) {
			if _, err := stream.Write(item); err != nil || ctx.Err() != nil {
				return
			}
		}
	}}).start(t, c)
	good := (&script{write: func(to *quic.Stream) io.Writer { return pacing{to, 8 << 20} }}).start(t, c)
	to := blobstest.OpenStore(t)
	stats, err := New(Config{Store: to, Endpoint: blobstest.Endpoint(t)}).Fetch(blobstest.Deadline(t), addrs(hostile, good), c.hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, c.data)
	whoGave(t, stats, uint64(len(c.data)))
	// What is read at the rate, in a second more than it took; and what waits to be read, which the window of a stream bounds.
	weight := 1 + len(claim.Ranges)/claimWeight
	ticks := int(math.Ceil((stats.Took + time.Second).Seconds() / watchEvery.Seconds()))
	most := ticks*(maxClaims/weight+1) + 8<<20/len(wireObserveItem(claim))
	t.Logf("%d claims in %s, at most %d", sent.Load(), stats.Took, most)
	if int(sent.Load()) > most {
		t.Errorf("%d claims were read or wait to be, want %d at most", sent.Load(), most)
	}
}

// The first claim of a provider is looked at when it comes, and of the others the last, from time to time.
func TestTheNewestClaimCounts(t *testing.T) {
	f := newFetch(New(Config{Store: blobstest.OpenStore(t)}), make([]*peer, 0), bao.Hash{}, nil)
	defer f.small.Close()
	const groups = 100
	p := &peer{fetch: f, state: connected}
	cfg := plan.Config{MinSpan: groups, MaxSpan: groups}
	j := &job{plan: plan.New(cfg, bao.Span(0, groups)), blob: &wanted{size: groups * bao.GroupSize}}
	p.join(j)
	f.job, p.observing = j, true
	claim := func(group uint64) {
		p.claims(j, &blobs.Available{Size: j.blob.size, Ranges: bao.Span(group*perGroup, (group+1)*perGroup)})
	}
	want := func(group uint64) {
		t.Helper()
		task, _ := j.plan.Next(p.worker, time.Now())
		if task == nil || !task.Units.Equal(bao.Span(group, group+1)) {
			t.Fatalf("%+v is asked for, want group %d", task, group)
		}
		j.plan.End(task, time.Now())
	}
	claim(7)
	want(7)
	if p.observing {
		t.Error("it is waited for on")
	}
	for group := range uint64(groups) {
		claim(group)
	}
	want(7)
	p.look()
	want(groups - 1)
	p.claims(j, nil)
	p.look()
	want(groups - 1)
	p.claims(j, &blobs.Available{Size: j.blob.size + 1, Ranges: bao.All()}) // of another blob
	p.look()
	want(groups - 1)
}
