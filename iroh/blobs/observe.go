package blobs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/quic-go/quic-go"
)

// Available is what a provider says it has of a blob. It is a claim: only the bytes themselves are proof.
type Available struct {
	Size   uint64     // bytes; 0 when the provider has nothing
	Ranges bao.Ranges // chunks
}

// Complete tells whether the provider says that it has all of the blob.
func (a Available) Complete() bool {
	chunks := max(1, a.Size/bao.ChunkSize+min(1, a.Size%bao.ChunkSize))
	return a.Size > 0 && bao.Span(0, chunks).Subtract(a.Ranges).IsEmpty()
}

// Observation follows what a provider has of one blob. Not for concurrent use, except that Close may be called at any time.
type Observation struct {
	ctx    context.Context // of the request; errors are sorted by it
	stop   func() bool
	stream *quic.Stream
	reader *bufio.Reader
	hash   bao.Hash
	sum    Available
	first  bool
	err    error // kept
}

// Observe asks over a new stream of conn what the provider has of a blob, and to be told when that grows. When ctx ends, so does the
// observation. The caller closes it. Providers up to 0.35 do not know the request and answer nothing: [ErrRefused].
func Observe(ctx context.Context, conn Opener, hash bao.Hash) (*Observation, error) {
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, receiveError(ctx, err, true, false)
	}
	o := &Observation{ctx: ctx, stream: stream, reader: bufio.NewReader(stream), hash: hash, first: true}
	o.stop = context.AfterFunc(ctx, o.cancel)
	if err := finish(stream, ObserveRequest{Hash: hash, Ranges: bao.All()}.Append(nil)); err != nil {
		o.Close()
		return nil, o.fail(err)
	}
	return o, nil
}

// Next waits for the next change and returns everything that the provider has said it has, the first time at once. There may be nothing
// to hear for as long as the provider likes. Errors: [ErrRefused], [ErrTruncated] when the provider ends it, [ErrObservation] for what
// cannot be read, [ErrTooLarge], those of ctx; after one the observation is at its end and repeats it.
func (o *Observation) Next() (Available, error) {
	if o.err != nil {
		return Available{}, o.err
	}
	item, err := wire.ReadObserveItem(o.reader)
	if err != nil {
		return Available{}, o.fail(err)
	}
	o.first = false
	o.sum.Ranges = o.sum.Ranges.Union(item.Ranges)
	if item.Size > 0 {
		o.sum.Size = item.Size
	}
	if len(o.sum.Ranges) > maxObserved {
		return Available{}, o.fail(fmt.Errorf("%w: blob in %d parts", ErrTooLarge, len(o.sum.Ranges)/2))
	}
	return o.sum, nil
}

// fail ends the observation.
func (o *Observation) fail(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrObservation):
	case o.first && errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: no answer to Observe", ErrRefused)
	default:
		err = receiveError(o.ctx, err, false, false)
	}
	o.cancel()
	o.err = fmt.Errorf("blobs: observing %s: %w", o.hash.ShortString(), err)
	return o.err
}

// Close ends the observation; the provider is told.
func (o *Observation) Close() {
	o.stop()
	o.cancel()
}

func (o *Observation) cancel() {
	o.stream.CancelRead(CodeDropped)
	o.stream.CancelWrite(CodeDropped)
}
