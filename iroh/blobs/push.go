package blobs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Progress hears how a download or a push goes on. Calls come one at a time and must not block.
type Progress interface {
	// Blob says that a blob begins, or goes on after an interruption. size is what the provider claims it to be, have
	// how many bytes of it are there already. Several blobs may be on their way at the same time.
	Blob(hash bao.Hash, size, have uint64)
	// Bytes says that n more bytes of a blob that has begun were received and verified, each counted once.
	Bytes(hash bao.Hash, n uint64)
}

type silent struct{}

func (silent) Blob(bao.Hash, uint64, uint64) {}
func (silent) Bytes(bao.Hash, uint64)        {}

// PushConfig is what a push needs. Store is required.
type PushConfig struct {
	Store *store.Store
	// StallTimeout is how long the target may take nothing, or say nothing of what arrived. 0 is 30 s.
	StallTimeout time.Duration
}

// PushStats is what a push took.
type PushStats struct {
	Blobs   int           // pushed, whole or the missing part
	Skipped int           // that the target had
	Bytes   uint64        // of blobs, pushed
	Sent    uint64        // on the stream
	Took    time.Duration // from beginning to end
}

// Push brings a blob of the store, or with [ticket.HashSeq] a hash sequence and all its children, to the provider at the other end of conn,
// which has to allow it. What the provider says it has is not sent. The protocol has no acknowledgement, so Push ends with an
// observation of the last blob sent, and returns nil when the provider says that it has it whole; since it takes blobs in order, it
// has the others too. progress may be nil; its Blob says how much of each the provider has already.
//
// Errors: [ErrRefused] when the provider does not take pushes from us, with [ErrLimit] when it takes no more of them; [ErrStalled]; [ErrPush] when it gives
// up, for an error of its own; those of the store and of ctx.
func Push(ctx context.Context, conn Opener, cfg PushConfig, hash bao.Hash, format ticket.Format, progress Progress) (PushStats, error) {
	start := time.Now()
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = defaultIdle
	}
	if progress == nil {
		progress = silent{}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &push{cfg: cfg, conn: conn, root: hash, progress: progress}
	err := p.run(ctx, format)
	p.stats.Took = time.Since(start)
	return p.stats, err
}

// push is one call of Push.
type push struct {
	cfg      PushConfig
	conn     Opener
	root     bao.Hash
	progress Progress
	stats    PushStats
	encoder  bao.Encoder
}

// parcel is a blob to be pushed.
type parcel struct {
	index  uint64 // in the request
	hash   bao.Hash
	ranges bao.Ranges // empty: nothing
	size   uint64
	has    uint64 // bytes that the target has
	asked  bool   // the target was asked what it has
}

func (p *push) run(ctx context.Context, format ticket.Format) error {
	root, err := p.missing(ctx, 0, p.root)
	if err != nil {
		return err
	}
	todo := []parcel{root}
	if format == ticket.HashSeq {
		children, err := p.children(ctx, root)
		if err != nil {
			return err
		}
		todo = append(todo, children...)
	}
	for len(todo) > 0 {
		n, size := 0, 0
		for ; n < len(todo) && size < maxAsked; n++ {
			size += 6 + 10*len(todo[n].ranges)
		}
		if err := p.deliver(ctx, todo[:n]); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// children lists the distinct children of the root. When the target lacks the root, and they are many, it is not asked
// about each of them.
func (p *push) children(ctx context.Context, root parcel) ([]parcel, error) {
	hashes, err := ReadHashSeq(p.cfg.Store, p.root, math.MaxUint64)
	if err != nil {
		return nil, err
	}
	order := plan.Distinct(hashes)
	parcels := make([]parcel, len(order))
	plan := p.missing
	if root.has == 0 && len(order) > maxAskedAll {
		plan = p.whole
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, at := range order {
		g.Go(func() (err error) {
			parcels[i], err = plan(ctx, uint64(at)+1, hashes[at])
			return err
		})
	}
	return parcels, g.Wait()
}

// whole plans all of a blob without asking.
func (p *push) whole(_ context.Context, index uint64, hash bao.Hash) (parcel, error) {
	status, err := p.cfg.Store.Status(hash)
	switch {
	case err != nil:
		return parcel{}, fmt.Errorf("blobs: %w", err)
	case status.State != store.Complete:
		return parcel{}, fmt.Errorf("blobs: %s: %w", hash.ShortString(), store.ErrIncomplete)
	case status.Size == 0:
		return parcel{index: index, hash: hash, asked: true}, nil // everybody has it
	}
	return parcel{index: index, hash: hash, ranges: bao.All(), size: status.Size}, nil
}

// missing asks what the target lacks of a blob.
func (p *push) missing(ctx context.Context, index uint64, hash bao.Hash) (parcel, error) {
	all, err := p.whole(ctx, index, hash)
	if err != nil || all.asked {
		return all, err
	}
	o, err := Observe(ctx, p.conn, hash)
	if err != nil {
		return all, err
	}
	defer o.Close()
	there, err := p.next(o)
	all.asked = true
	if err != nil || there.Size != all.size {
		return all, err // it has nothing, or something wrong
	}
	lacks := bao.Span(0, (all.size+bao.ChunkSize-1)/bao.ChunkSize).Subtract(there.Ranges)
	if len(lacks) > 2*maxSpans {
		lacks = bao.From(lacks[0])
	}
	all.ranges = lacks.Groups()
	if lacks.IsEmpty() {
		all.has = all.size
	} else {
		all.has = all.size - all.ranges.Bytes(all.size)
	}
	return all, nil
}

// next is o.Next that waits no longer than the stall timeout.
func (p *push) next(o *Observation) (Available, error) {
	timer := time.AfterFunc(p.cfg.StallTimeout, o.Close)
	there, err := o.Next()
	if !timer.Stop() && err != nil {
		return there, ErrStalled
	}
	return there, err
}

// deliver pushes blobs in one request. The last of them is one that the target said it lacks, so that its arrival means something.
func (p *push) deliver(ctx context.Context, parcels []parcel) error {
	for i := len(parcels) - 1; i >= 0 && !parcels[i].asked; i-- {
		var err error
		if parcels[i], err = p.missing(ctx, parcels[i].index, parcels[i].hash); err != nil {
			return err
		}
		if !parcels[i].ranges.IsEmpty() {
			break
		}
	}
	var ranges ChunkRangesSeq
	var send []parcel
	for _, parcel := range parcels {
		if parcel.ranges.IsEmpty() {
			p.stats.Skipped++
			continue
		}
		ranges = ranges.Add(parcel.index, parcel.ranges)
		send = append(send, parcel)
	}
	if len(send) == 0 {
		return nil
	}
	if err := p.send(ctx, PushRequest{Get: GetRequest{Hash: p.root, Ranges: ranges}}, send); err != nil {
		return fmt.Errorf("blobs: push of %s: %w", p.root.ShortString(), err)
	}
	return nil
}

// send writes a request and its data, and waits until the last blob has arrived. Only then it ends the stream: until then the target can
// say, by stopping it, that it gives up.
func (p *push) send(ctx context.Context, request PushRequest, parcels []parcel) error {
	stream, err := p.conn.OpenStream(ctx)
	if err != nil {
		return receiveError(ctx, err, true, false)
	}
	cancel := func() {
		stream.CancelWrite(CodeDropped)
		stream.CancelRead(CodeDropped)
	}
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	w := &outbox.Outbox{
		Stream: stream, Idle: p.cfg.StallTimeout,
		Get: func() (*outbox.Buffer, error) { return new(outbox.Buffer), nil }, Put: func(*outbox.Buffer) {},
	}
	_, err = w.Write(request.Append(nil))
	for i := 0; i < len(parcels) && err == nil; i++ {
		err = p.blob(w, parcels[i])
	}
	err = errors.Join(w.Close(), err)
	p.stats.Sent += w.Written()
	if err == nil {
		err = p.confirm(ctx, stream, parcels[len(parcels)-1].hash)
	}
	if err != nil {
		return p.sendError(ctx, stream, err)
	}
	_ = stream.Close() // iroh-blobs has stopped it, having read all it wanted
	return nil
}

// blob writes the size and the planned ranges of one blob.
func (p *push) blob(w io.Writer, parcel parcel) error {
	blob, err := p.cfg.Store.Open(parcel.hash)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	p.progress.Blob(parcel.hash, parcel.size, parcel.has)
	var header [8]byte
	binary.LittleEndian.PutUint64(header[:], parcel.size)
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	count := func(n uint64) { p.progress.Bytes(parcel.hash, n) }
	counted := &countingWriter{to: w, count: count, left: parcel.ranges.Bytes(parcel.size)}
	if err := p.encoder.Encode(counted, parcel.hash, parcel.size, blob, blob.Outboard(), parcel.ranges); err != nil {
		return err
	}
	count(counted.left) // hash pairs were counted in place of the last bytes, or were not
	p.stats.Blobs++
	p.stats.Bytes += parcel.ranges.Bytes(parcel.size)
	return nil
}

// confirm waits until the target has all of a blob, or stops the stream.
func (p *push) confirm(ctx context.Context, stream *quic.Stream, hash bao.Hash) error {
	o, err := Observe(ctx, p.conn, hash)
	if err != nil {
		return err
	}
	defer o.Close()
	defer context.AfterFunc(stream.Context(), func() {
		if _, failed := givenUp(stream); failed {
			o.Close()
		}
	})()
	for {
		there, err := p.next(o)
		if err != nil || there.Complete() {
			return err
		}
	}
}

// sendError says why a push failed: the target's own reason first, which is in how it ended either side of the stream.
func (p *push) sendError(ctx context.Context, stream *quic.Stream, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code, failed := givenUp(stream)
	switch {
	case !failed && errors.Is(err, outbox.ErrSlow):
		return ErrStalled
	case !failed:
		return err
	case code == CodePermission || code == CodeLimit:
		return refusal(uint64(code))
	}
	return fmt.Errorf("%w: code %d", ErrPush, code)
}

// givenUp tells whether the target has stopped the stream for an error, and with which code. A stop with code 0 means that it is done reading,
// and then the reason for it, if there is one, is in how it ended its own side.
func givenUp(stream *quic.Stream) (code quic.StreamErrorCode, failed bool) {
	var stopped, reset *quic.StreamError
	if !errors.As(context.Cause(stream.Context()), &stopped) || !stopped.Remote {
		return 0, false
	}
	if stopped.ErrorCode != CodeDropped {
		return stopped.ErrorCode, true
	}
	_ = stream.SetReadDeadline(time.Now().Add(reasonTimeout))
	if _, err := stream.Read(make([]byte, 1)); errors.As(err, &reset) && reset.Remote {
		return reset.ErrorCode, true
	}
	return 0, false
}

// countingWriter counts what is written as progress, up to what is to be expected.
type countingWriter struct {
	to    io.Writer
	count func(uint64)
	left  uint64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	counted := min(uint64(n), w.left)
	w.left -= counted
	w.count(counted)
	return n, err
}
