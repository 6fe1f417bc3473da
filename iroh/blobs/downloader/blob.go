package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// wanted is what is to be asked for of one blob.
type wanted struct {
	index  uint32 // of the child; of no meaning for a root
	hash   bao.Hash
	ranges bao.Ranges // empty: nothing
	size   uint64     // claimed for what is there; 0 when nothing is
	have   uint64     // bytes that are there
	fresh  bool       // nothing is there, and all is asked for
	proven bool       // the last chunk is there, and so the size is right

	splitFrom uint64 // one that claims more bytes is not to be fetched over one stream; 0 is any
}

// perGroup is the number of chunks in a group.
const perGroup = bao.GroupSize / bao.ChunkSize

// missing tells what of a blob is not in the store, at most maxSpans spans of it.
func (f *fetch) missing(ctx context.Context, hash bao.Hash) (wanted, error) {
	want := wanted{hash: hash}
	status, err := f.cfg.Store.Status(hash)
	switch {
	case err != nil:
		return want, own(hash, err)
	case status.State == store.Complete:
		return want, nil
	case status.State == store.Missing:
		want.ranges, want.fresh = bao.All(), true
		return want, nil
	}
	want.size = status.Size
	chunks := max(1, (status.Size+bao.ChunkSize-1)/bao.ChunkSize)
	want.proven = status.Ranges.Contains(chunks - 1)
	want.ranges = bao.Span(0, chunks).Subtract(status.Ranges)
	if want.ranges.IsEmpty() {
		return f.complete(ctx, want)
	}
	want.have = status.Ranges.Bytes(status.Size)
	if last := &want.ranges[len(want.ranges)-1]; *last == chunks {
		// To the end of the last group, should the blob be longer than was claimed: only whole groups can be stored.
		*last = (chunks + perGroup - 1) / perGroup * perGroup
	}
	if len(want.ranges) > 2*maxSpans {
		want.ranges = want.ranges[:2*maxSpans]
	}
	return want, nil
}

// complete publishes a blob of which all groups are there: a crash came between the last of them and that. Should pairs be
// missing all the same, everything is wanted.
func (f *fetch) complete(ctx context.Context, want wanted) (wanted, error) {
	download, err := f.cfg.Store.Download(want.hash, want.size)
	if err == nil {
		// Who is taken off this task meanwhile is no reason to leave it half done.
		err = errors.Join(download.Complete(context.WithoutCancel(ctx)), download.Close())
	}
	switch {
	case errors.Is(err, store.ErrIncomplete):
		want.ranges = bao.All()
	case err != nil:
		return want, own(want.hash, err)
	}
	return want, nil
}

// blob fetches what is missing of one blob, which must not claim more than limit bytes. As long as somebody else is storing it, it
// waits for that.
func (f *fetch) blob(ctx context.Context, hash bao.Hash, limit uint64) error {
	delay := retryDelay
	for {
		want, err := f.missing(ctx, hash)
		if err == nil {
			if want.ranges.IsEmpty() {
				return nil
			}
			err = f.fill(ctx, want, limit)
		}
		switch {
		case err == nil:
			delay = retryDelay
			continue // there may be more that is missing
		case !errors.Is(err, store.ErrBusy) && !errors.Is(err, store.ErrComplete):
			return err
		}
		if err := pause(ctx, delay); err != nil {
			return context.Cause(ctx)
		}
		delay = min(2*delay, maxDelay)
	}
}

// fill gets what is wanted of a blob: over one stream, or in parts over several.
func (f *fetch) fill(ctx context.Context, want wanted, limit uint64) error {
	split, err := f.ready(ctx)
	if err != nil {
		return err
	}
	if !split {
		return f.whole(ctx, want, limit)
	}
	if !want.proven {
		if len(f.peers) == 1 {
			return f.opening(ctx, want, limit)
		}
		size, err := f.prove(ctx, want.hash, limit)
		if err != nil {
			return err
		}
		if size != want.size { // what was kept for another size is worth nothing
			want.have, want.ranges = 0, bao.All()
		}
		want.size, want.proven, want.fresh = size, true, false
	}
	return f.parts(ctx, want)
}

// whole gets all that is wanted of a blob in one request to one provider, and again until it is there.
func (f *fetch) whole(ctx context.Context, want wanted, limit uint64) error {
	return f.do(ctx, &job{plan: plan.New(plan.Config{MinSpan: 1, MaxSpan: 1}, bao.Span(0, 1)), work: func(ctx context.Context, l *lane, t *plan.Task) error {
		response, err := l.get(ctx, blobs.GetRequest{Hash: want.hash, Ranges: blobs.OneBlob(want.ranges)})
		if err != nil {
			return err
		}
		defer l.closing(response)
		response.Next()
		err = l.receive(ctx, response, want, limit, t)
		if errors.Is(err, store.ErrIncomplete) || err == nil {
			err = ours(l.tray.Empty())
			l.done(t, 0)
		}
		if err != nil {
			// What came is there: it is not to be asked for again.
			if rest, failed := f.missing(ctx, want.hash); failed == nil && !rest.ranges.IsEmpty() {
				want = rest
			}
		}
		return err
	}})
}

// opening asks the only provider, which is far away, for the beginning of what is wanted of a blob and, since that proves the size, for the
// last chunk, and then for the rest in parts.
func (f *fetch) opening(ctx context.Context, want wanted, limit uint64) error {
	beginning := bao.Span(0, want.ranges[0]+openingSize/bao.ChunkSize)
	want.ranges, want.fresh = want.ranges.Intersect(beginning).Union(bao.LastChunk()), false
	if err := f.whole(ctx, want, limit); err != nil {
		return err
	}
	rest, err := f.missing(ctx, want.hash)
	if err != nil || rest.ranges.IsEmpty() || rest.ranges.Equal(bao.All()) {
		return err // all is there, or nothing: then it is begun again
	}
	rest.proven = true
	return f.parts(ctx, rest)
}

// prove asks for the last chunk of a blob, which proves its size.
func (f *fetch) prove(ctx context.Context, hash bao.Hash, limit uint64) (size uint64, err error) {
	cfg := plan.Config{MinSpan: 1, MaxSpan: 1, Stall: f.stall(), Race: true}
	err = f.do(ctx, &job{plan: plan.New(cfg, bao.Span(0, 1)), work: func(ctx context.Context, l *lane, t *plan.Task) error {
		proven, err := l.lastChunk(ctx, hash, limit)
		if err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		size = proven
		f.job.plan.Came(t, 0)
		return nil
	}})
	return size, err
}

// lastChunk returns the size of a blob, proven.
func (l *lane) lastChunk(ctx context.Context, hash bao.Hash, limit uint64) (size uint64, err error) {
	response, err := l.get(ctx, blobs.GetRequest{Hash: hash, Ranges: blobs.OneBlob(bao.LastChunk())})
	if err != nil {
		return 0, err
	}
	defer l.closing(response)
	response.Next()
	if size, err = response.Open(hash); err != nil {
		return 0, err
	}
	if size > limit {
		return 0, fmt.Errorf("%w: %s claims %d bytes, at most %d are taken", blobs.ErrTooLarge, hash.ShortString(), size, limit)
	}
	for err == nil {
		_, err = response.Item()
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	return size, nil
}

// stall is how long a provider may bring nothing while another one could.
func (f *fetch) stall() time.Duration { return f.cfg.StallTimeout / stallShare }

// parts gets what is wanted of a blob, the size of which is proven, in parts from all providers.
func (f *fetch) parts(ctx context.Context, want wanted) error {
	groups := (want.size + bao.GroupSize - 1) / bao.GroupSize
	missing := plan.Groups(want.ranges, want.size)
	if want.ranges.Equal(bao.All()) {
		missing = bao.Span(0, groups)
	}
	f.begins(want.hash, want.size, want.have)
	blob := landing.New(f.cfg.Store, want.hash, want.size, nil)
	cfg := plan.Config{
		MinSpan: minSpan / bao.GroupSize, MaxSpan: maxSpan / bao.GroupSize, MaxParts: maxSpans, Target: spanTime, Stall: f.stall(), Race: true,
	}
	err := f.do(ctx, &job{plan: plan.New(cfg, missing), blob: &want, work: func(ctx context.Context, l *lane, t *plan.Task) error {
		return l.part(ctx, want, blob, t)
	}})
	if err == nil {
		if err = blob.Complete(ctx); err == nil {
			f.completed()
			return nil
		}
		if errors.Is(err, store.ErrIncomplete) { // more parts than one request names
			err = nil
		}
		err = own(want.hash, err)
	}
	return errors.Join(err, own(want.hash, blob.Keep()))
}

// part gets some groups of a blob.
func (l *lane) part(ctx context.Context, want wanted, blob *landing.Blob, t *plan.Task) error {
	chunks := make(bao.Ranges, len(t.Units))
	for i, unit := range t.Units {
		chunks[i] = unit * perGroup
	}
	response, err := l.get(ctx, blobs.GetRequest{Hash: want.hash, Ranges: blobs.OneBlob(chunks)})
	if err != nil {
		return err
	}
	defer l.closing(response)
	response.Next()
	size, err := response.Open(want.hash)
	if err != nil {
		return err
	}
	if size != want.size {
		return fmt.Errorf("%w: %s claims %d bytes, %d are proven", blobs.ErrSize, want.hash.ShortString(), size, want.size)
	}
	stream := blob.Stream()
	for {
		item, err := response.Item()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		stored, err := stream.Add(item)
		if err != nil {
			return own(want.hash, err)
		}
		if stored > 0 {
			l.group(t, want.hash, item.Offset/bao.GroupSize, stored)
		}
	}
}

// group notes that a group of a blob is there.
func (l *lane) group(t *plan.Task, hash bao.Hash, unit, n uint64) {
	l.mu.Lock()
	l.job.plan.Moved(t, n, time.Now())
	l.peer.failed, l.peer.delay = 0, 0
	fresh := l.job.plan.Came(t, unit)
	if fresh {
		l.stats.Bytes += n
		l.peer.stats.Bytes += n
	} else {
		l.peer.stats.Duplicate += n
	}
	l.mu.Unlock()
	if fresh {
		l.came(hash, n)
	}
}

// moved notes that bytes of a blob have come, of a unit that is not whole yet.
func (l *lane) moved(t *plan.Task, hash bao.Hash, n uint64) {
	l.mu.Lock()
	l.job.plan.Moved(t, n, time.Now())
	l.peer.failed, l.peer.delay = 0, 0
	l.stats.Bytes += n
	l.peer.stats.Bytes += n
	l.mu.Unlock()
	l.came(hash, n)
}

// done notes that a unit is there.
func (l *lane) done(t *plan.Task, unit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.job.plan.Came(t, unit)
}
