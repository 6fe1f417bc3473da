package blobs

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
	held       int64 // of connection.requests
	longAnswer bool  // holds a place
	root       bao.Hash
	sent       uint64
	encoder    *bao.Encoder
}

// run reads the request, answers it and ends the stream.
func (a *answer) run(ctx context.Context) error {
	start := time.Now()
	stop := context.AfterFunc(ctx, func() {
		a.stream.CancelRead(CodeDropped)
		a.stream.CancelWrite(CodeDropped)
	})
	defer stop()
	err := a.serve(ctx)
	a.requests.Add(-a.held)
	if a.longAnswer {
		a.answers.give()
	}
	if code, reset := resetCode(err); reset {
		a.stream.CancelWrite(code)
	} else {
		_ = a.stream.Close()
	}
	a.stream.CancelRead(CodeDropped) // no effect once the request was read to its end
	a.provider.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "blobs: request",
		slog.String("peer", a.peer.ShortString()), slog.String("hash", a.root.ShortString()),
		slog.Uint64("sent", a.sent), slog.Duration("took", time.Since(start)), slog.Any("err", err))
	return err
}

// resetCode tells how a stream ends: an answered request and one that cannot be read by FIN, all others by a reset.
func resetCode(err error) (quic.StreamErrorCode, bool) {
	switch {
	case err == nil, errors.Is(err, ErrRequest):
		return 0, false
	case errors.Is(err, errPermission):
		return CodePermission, true
	case errors.Is(err, errSlow), errors.Is(err, errRequests), errors.Is(err, outbox.ErrSlow):
		return CodeLimit, true
	default:
		return CodeInternal, true
	}
}

func (a *answer) serve(ctx context.Context) error {
	raw, err := a.readRequest()
	if err != nil {
		return err
	}
	request, err := ParseRequest(raw)
	if err != nil {
		return err
	}
	get, ok := request.(GetRequest)
	if !ok {
		return errPermission
	}
	a.root = get.Hash
	a.encoder = a.provider.encoders.Get().(*bao.Encoder)
	defer a.provider.encoders.Put(a.encoder)
	w := &outbox.Outbox{
		Stream: a.stream, Idle: a.provider.cfg.IdleTimeout,
		Get: func() (*outbox.Buffer, error) {
			if err := a.takeLong(ctx); err != nil {
				return nil, err
			}
			return a.provider.buffers.Get().(*outbox.Buffer), nil
		},
		Put: func(b *outbox.Buffer) { a.provider.buffers.Put(b) },
	}
	err = a.get(ctx, get, w)
	err = errors.Join(w.Close(), err)
	a.sent = w.Written()
	return err
}

// takeLong takes the place of a long answer, once.
func (a *answer) takeLong(ctx context.Context) error {
	if a.longAnswer {
		return nil
	}
	err := a.answers.take(ctx)
	a.longAnswer = err == nil
	return err
}

// readRequest reads to the end of the requester's side. Push is cut short: nobody wants its data.
func (a *answer) readRequest() ([]byte, error) {
	if err := a.stream.SetReadDeadline(time.Now().Add(a.provider.cfg.IdleTimeout)); err != nil {
		return nil, fmt.Errorf("blobs: deadline: %w", err)
	}
	buf := make([]byte, 1, 512)
	if _, err := io.ReadFull(a.stream, buf); err != nil {
		return nil, requestError(err)
	}
	switch wire.RequestType(buf[0]) {
	case wire.TypeGet, wire.TypeGetMany, wire.TypeObserve:
	case wire.TypePush:
		return nil, errPermission
	default:
		return nil, fmt.Errorf("%w: type %d", ErrRequest, buf[0])
	}
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
			return nil, fmt.Errorf("%w: more than %d bytes", ErrRequest, wire.MaxRequest)
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
	if a.requests.Add(more) > maxRequests {
		return errRequests
	}
	return nil
}

// requestError sorts out why a request cannot be read. One that breaks off is as good as one that makes no sense.
func requestError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return fmt.Errorf("%w: %w", ErrRequest, err)
}

// get writes the answer to a request.
func (a *answer) get(ctx context.Context, request GetRequest, w io.Writer) error {
	children := hashSeq{store: a.provider.cfg.Store, hash: request.Hash}
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
		if err := a.send(ctx, hash, ranges, w); err != nil {
			return err
		}
	}
	return nil
}

// send writes the size and the wanted ranges of one blob. Of a partial blob it writes what comes before the first gap.
func (a *answer) send(ctx context.Context, hash bao.Hash, ranges bao.Ranges, w io.Writer) error {
	if policy := a.provider.cfg.Policy; policy != nil && !policy.Allow(a.peer, hash) {
		return errPermission
	}
	blob, err := a.provider.cfg.Store.Open(hash)
	if err != nil {
		return fmt.Errorf("blobs: %s: %w", hash.ShortString(), err)
	}
	defer func() { _ = blob.Close() }()
	size := blob.Size()
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
