package provider

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/quic-go/quic-go"
)

// Reasons not to answer that are not the store's.
var (
	errPermission = errors.New("blobs: refused by policy")
	errSlow       = errors.New("blobs: request does not come in time")
	errRequests   = errors.New("blobs: too many long requests at once")
)

// connection is what the streams of one connection share.
type connection struct {
	provider *Provider
	peer     key.EndpointID
	number   uint64
	share    *share
	sends    meter        // of answers
	takes    meter        // of pushes
	streams  places       // being served
	requests atomic.Int64 // bytes of requests beyond smallRequest each
	answers  places       // for answers longer than passSize
}

// places counts down: a bounded number of holders.
type places chan struct{}

func (p places) take(ctx context.Context) error {
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p places) give() { <-p }

// answer is the work on one stream.
type answer struct {
	*connection
	stream     *quic.Stream
	request    wire.Request // nil until it was read
	root       bao.Hash
	held       int64 // of connection.requests and the provider's
	longAnswer bool  // holds a place, and outboxCost
	sent       uint64
	encoder    *bao.Encoder
}

// run reads the request, answers it and ends the stream.
func (a *answer) run(ctx context.Context) error {
	start := time.Now()
	stop := context.AfterFunc(ctx, func() {
		a.stream.CancelRead(wire.CodeDropped)
		a.stream.CancelWrite(wire.CodeDropped)
	})
	defer stop()
	err := a.serve(ctx)
	a.requests.Add(-a.held)
	a.provider.requests.Add(-a.held)
	if a.longAnswer {
		a.answers.give()
		a.provider.sending.Release(outboxCost)
	}
	a.end(err)
	switch {
	case a.request == nil && isRefusal(err):
		a.event(Event{Kind: Refused, Err: err})
	case a.request != nil && err == nil:
		a.event(Event{Kind: Completed, Bytes: a.sent, Took: time.Since(start)})
	case a.request != nil:
		a.event(Event{Kind: Aborted, Bytes: a.sent, Took: time.Since(start), Err: err})
	}
	a.provider.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "blobs: request",
		slog.String("peer", a.peer.ShortString()), slog.String("hash", a.root.ShortString()),
		slog.Uint64("sent", a.sent), slog.Duration("took", time.Since(start)), slog.Any("err", err))
	return err
}

// end ends both sides of the stream. A requester that sends still, a push, hears why it should not; for others a stop has no effect, since
// their request was read to its end.
func (a *answer) end(err error) {
	code, reset := resetCode(err)
	switch {
	case !reset:
		_ = a.stream.Close()
		a.stream.CancelRead(wire.CodeDropped)
	default:
		a.stream.CancelWrite(code) // no effect when it was closed
		a.stream.CancelRead(code)
	}
}

// isRefusal tells whether a request was not served because it must not be.
func isRefusal(err error) bool {
	return errors.Is(err, errPermission) || errors.Is(err, ErrLimit) || errors.Is(err, errRequests)
}

// resetCode tells how a stream ends: an answered request and one that cannot be read by FIN, all others by a reset.
func resetCode(err error) (quic.StreamErrorCode, bool) {
	switch {
	case err == nil, errors.Is(err, wire.ErrRequest):
		return 0, false
	case errors.Is(err, errPermission):
		return wire.CodePermission, true
	case errors.Is(err, errSlow), errors.Is(err, errRequests), errors.Is(err, outbox.ErrSlow),
		errors.Is(err, ErrLimit), errors.Is(err, errQuota):
		return wire.CodeLimit, true
	default:
		return wire.CodeInternal, true
	}
}

func (a *answer) serve(ctx context.Context) error {
	kind, err := a.readType()
	if err != nil {
		return err
	}
	leave, err := a.provider.gate.request(a.share, kind == wire.TypeObserve)
	if err != nil {
		return err
	}
	defer leave()
	if kind == wire.TypePush {
		return a.push(ctx)
	}
	raw, err := a.readRequest(kind)
	if err != nil {
		return err
	}
	request, err := wire.ParseRequest(raw)
	if err != nil {
		return err
	}
	switch r := request.(type) {
	case wire.GetRequest:
		a.begin(r, r.Hash)
		return a.respond(ctx, func(w io.Writer) error { return a.get(ctx, r, w) })
	case wire.GetManyRequest:
		a.begin(r, bao.Hash{})
		return a.respond(ctx, func(w io.Writer) error { return a.getMany(ctx, r, w) })
	case wire.ObserveRequest:
		a.begin(r, r.Hash)
		return a.observe(ctx, r.Hash)
	}
	return wire.ErrRequest
}

// begin says that the request was read.
func (a *answer) begin(request wire.Request, root bao.Hash) {
	a.request, a.root = request, root
	a.event(Event{Kind: Requested})
}

// respond sends what write writes.
func (a *answer) respond(ctx context.Context, write func(io.Writer) error) error {
	if err := a.provider.making.Acquire(a.stream.Context(), encoderCost); err != nil {
		return err
	}
	a.encoder = a.provider.encoders.Get().(*bao.Encoder)
	w := &outbox.Outbox{
		Stream: a.stream, Idle: a.provider.cfg.IdleTimeout, Pacer: (*pacer)(a),
		Get: func() (*outbox.Buffer, error) {
			if err := a.takeLong(ctx); err != nil {
				return nil, err
			}
			return a.provider.buffers.Get().(*outbox.Buffer), nil
		},
		Put: func(b *outbox.Buffer) { a.provider.buffers.Put(b) },
	}
	err := write(w)
	a.provider.encoders.Put(a.encoder)
	a.encoder = nil
	a.provider.making.Release(encoderCost)
	return errors.Join(w.Close(), err)
}

// pacer keeps an answer to the rates.
type pacer answer

// Before implements [outbox.Pacer].
func (p *pacer) Before(n int) (int, error) {
	n = min(n, p.provider.gate.slice(p.share))
	err := p.provider.gate.pace(p.stream.Context(), p.share, n)
	if err == nil {
		p.sends.begin()
	}
	return n, err
}

// After implements [outbox.Pacer].
func (p *pacer) After(n int) error {
	slow := p.sends.end(n)
	(*answer)(p).moved(n)
	if slow {
		return outbox.ErrSlow
	}
	return nil
}

// takeLong takes the place of a long answer, once.
func (a *answer) takeLong(ctx context.Context) error {
	if a.longAnswer {
		return nil
	}
	if err := a.answers.take(ctx); err != nil {
		return err
	}
	if err := a.provider.sending.Acquire(a.stream.Context(), outboxCost); err != nil {
		a.answers.give()
		return err
	}
	a.longAnswer = true
	return nil
}

// readType reads the first byte of a request.
func (a *answer) readType() (wire.RequestType, error) {
	if err := a.stream.SetReadDeadline(time.Now().Add(a.provider.cfg.IdleTimeout)); err != nil {
		return 0, fmt.Errorf("blobs: deadline: %w", err)
	}
	var b [1]byte
	if _, err := io.ReadFull(a.stream, b[:]); err != nil {
		return 0, requestError(err)
	}
	switch kind := wire.RequestType(b[0]); kind {
	case wire.TypeGet, wire.TypeGetMany, wire.TypeObserve, wire.TypePush:
		return kind, nil
	default:
		return 0, fmt.Errorf("%w: type %d", wire.ErrRequest, b[0])
	}
}

// readRequest reads to the end of the requester's side and returns all of the request.
func (a *answer) readRequest(kind wire.RequestType) ([]byte, error) {
	buf := append(make([]byte, 0, 512), byte(kind))
	for {
		if len(buf) == cap(buf) {
			grown := min(2*cap(buf), 1+wire.MaxRequest+1)
			if err := a.hold(int64(grown)); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, grown), buf...)
		}
		n, err := a.stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > 1+wire.MaxRequest:
			return nil, fmt.Errorf("%w: more than %d bytes", wire.ErrRequest, wire.MaxRequest)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, requestError(err)
		}
	}
}

// hold reserves what a request has beyond smallRequest bytes.
func (a *answer) hold(size int64) error {
	if size <= smallRequest {
		return nil
	}
	more := size - smallRequest - a.held
	a.held += more
	ours, all := a.requests.Add(more), a.provider.requests.Add(more)
	if ours > maxRequests || all > maxRequestsAll {
		return errRequests
	}
	return nil
}

// requestError sorts out why a request cannot be read. One that breaks off is as good as one that makes no sense.
func requestError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return fmt.Errorf("%w: %w", wire.ErrRequest, err)
}

// get writes the answer to a request.
func (a *answer) get(ctx context.Context, request wire.GetRequest, w io.Writer) error {
	return a.each(request, func(index uint64, hash bao.Hash, ranges bao.Ranges) error {
		return a.send(ctx, index, hash, ranges, w)
	})
}

// each goes through the blobs of a request. Children are those of the hash sequence in our store, which may have come there
// by the first call of do; nothing comes after the last one.
func (a *answer) each(request wire.GetRequest, do func(index uint64, hash bao.Hash, ranges bao.Ranges) error) error {
	children := hashSeq{open: a.provider.open, hash: request.Hash}
	defer children.close()
	for index, ranges := range request.Ranges.All() {
		hash := request.Hash
		if index > 0 {
			var err error
			var ok bool
			if hash, ok, err = children.child(index - 1); !ok || err != nil {
				return err // nil past the last child
			}
		}
		if err := do(index, hash, ranges); err != nil {
			return err
		}
	}
	return nil
}

// getMany writes the answer to a request for blobs that it names itself.
func (a *answer) getMany(ctx context.Context, request wire.GetManyRequest, w io.Writer) error {
	for index, ranges := range request.Ranges.All() {
		if index >= uint64(len(request.Hashes)) {
			return nil
		}
		if err := a.send(ctx, index, request.Hashes[index], ranges, w); err != nil {
			return err
		}
	}
	return nil
}

// send writes the size and the wanted ranges of one blob. Of a partial blob it writes what comes before the first gap.
func (a *answer) send(ctx context.Context, index uint64, hash bao.Hash, ranges bao.Ranges, w io.Writer) error {
	if policy := a.provider.cfg.Policy; policy != nil && !policy.Allow(a.peer, hash) {
		return errPermission
	}
	blob, err := a.provider.open(hash)
	if err != nil {
		return fmt.Errorf("blobs: %s: %w", hash.ShortString(), err)
	}
	defer func() { _ = blob.Close() }()
	size := blob.Size()
	a.event(Event{Kind: Started, Index: index, Hash: hash, Size: size})
	if bao.EncodedSize(size, ranges) > passSize {
		if err := a.takeLong(ctx); err != nil {
			return err
		}
	}
	var header [8]byte
	binary.LittleEndian.PutUint64(header[:], size)
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	if err := a.encoder.Encode(w, hash, size, blob, blob.Outboard(), ranges); err != nil {
		return fmt.Errorf("blobs: %s: %w", hash.ShortString(), err)
	}
	return nil
}
