package provider

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/outbox"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// push takes what a requester pushes, blob by blob, each verified as it streams, into the quota.
func (a *answer) push(ctx context.Context) error {
	if !a.provider.pushers[a.peer] {
		return errPermission
	}
	source := &source{answer: a, ctx: ctx}
	reader := bufio.NewReaderSize(source, pushBuffer)
	request, err := wire.ReadPush(reader, a.hold)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", wire.ErrRequest, err)
	case err != nil:
		return err
	}
	a.begin(request, request.Get.Hash)
	// There is nothing to say to the requester, who need not listen. From here on it hears of a failure by a stop of its own side.
	_ = a.stream.Close() // iroh-blobs has stopped it before we could
	if err := a.provider.sending.Acquire(ctx, pushCost); err != nil {
		return err
	}
	defer a.provider.sending.Release(pushCost)
	in := &intake{answer: a, reader: reader}
	err = in.each(request.Get, func(index uint64, hash bao.Hash, ranges bao.Ranges) error {
		if err := in.blob(ctx, index, hash, ranges); err != nil {
			return fmt.Errorf("blobs: push of %s: %w", hash.ShortString(), err)
		}
		return nil
	})
	if err == nil {
		_, _ = reader.ReadByte() // the end, so that the stream is not stopped before it
	}
	if in.stored {
		// Whoever observes the blob now must not be told of something that a power cut takes back. That is the requester first of all,
		// who closes the connection when it sees that all is there.
		err = errors.Join(err, a.provider.cfg.Store.Sync(context.WithoutCancel(ctx)))
	}
	return err
}

// source reads a push from its stream at the provider's pace, and gives up on a requester that sends too little.
type source struct {
	*answer
	ctx context.Context
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (int, error) {
	b = b[:min(len(b), s.provider.gate.slice(s.share))]
	if err := s.stream.SetReadDeadline(time.Now().Add(s.provider.cfg.IdleTimeout)); err != nil {
		return 0, fmt.Errorf("blobs: deadline: %w", err)
	}
	s.takes.begin()
	n, err := s.stream.Read(b)
	slow := s.takes.end(n)
	s.moved(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), slow && err == nil:
		return n, outbox.ErrSlow
	case err != nil:
		return n, err
	}
	return n, s.provider.gate.pace(s.ctx, s.share, n)
}

// intake is the receiving of one push.
type intake struct {
	*answer
	reader  *bufio.Reader
	decoder bao.Decoder
	stored  bool // something came into the store
}

// blob takes one blob. One that is there already, or that somebody else is storing, is verified and dropped.
func (in *intake) blob(ctx context.Context, index uint64, hash bao.Hash, ranges bao.Ranges) error {
	if policy := in.provider.cfg.Policy; policy != nil && !policy.Allow(in.peer, hash) {
		return errPermission
	}
	var header [8]byte
	if _, err := io.ReadFull(in.reader, header[:]); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint64(header[:])
	in.event(Event{Kind: Started, Index: index, Hash: hash, Size: size})
	in.decoder.Reset(in.reader, hash, size, ranges)
	before, err := in.provider.status(hash)
	if err != nil {
		return err
	}
	if before.State == store.Complete || size == 0 {
		return in.drop()
	}
	asked := ranges.Clamp(size)
	if len(asked)%2 == 1 {
		asked = append(asked[:len(asked):len(asked)], chunkCount(size))
	}
	if before.Size == size {
		asked = asked.Subtract(before.Ranges) // with another size, what is there will be given up
	}
	need := spanBytes(asked, size)
	need += min(blobCost, math.MaxUint64-need)
	if err := in.provider.quota.reserve(need); err != nil {
		return err
	}
	var stored uint64
	defer func() { in.provider.quota.settle(need, stored) }()
	fresh := before.State == store.Missing
	if fresh && size <= smallBlob && len(ranges.Complement().Clamp(size)) == 0 {
		err = in.small(ctx, hash, size)
	} else {
		err = in.large(ctx, hash, size, fresh)
	}
	after, statusErr := in.provider.status(hash)
	switch had, has := held(before), held(after); {
	case statusErr != nil:
	case after.State == store.Missing:
		statusErr = in.provider.quota.unmark(hash)
	case has > had:
		stored, in.stored = min(has-had, need), true
	}
	return errors.Join(err, statusErr)
}

// drop verifies what comes of a blob, and forgets it.
func (in *intake) drop() error {
	for {
		_, err := in.decoder.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// small collects a whole blob in memory and stores it at once.
func (in *intake) small(ctx context.Context, hash bao.Hash, size uint64) error {
	data := make([]byte, 0, size)
	for {
		item, err := in.decoder.Next()
		switch {
		case errors.Is(err, io.EOF):
			if err := in.provider.mark(hash); err != nil {
				return err
			}
			_, err := in.provider.cfg.Store.Put(ctx, data)
			return err
		case err != nil:
			return err
		case item.Kind == bao.Leaf:
			data = append(data, item.Data...)
		}
	}
}

// large stores a blob as it comes.
func (in *intake) large(ctx context.Context, hash bao.Hash, size uint64, fresh bool) error {
	blob := landing.New(in.provider.cfg.Store, hash, size, func() error { return in.provider.mark(hash) })
	stream := blob.Stream()
	for {
		item, err := in.decoder.Next()
		if err == nil {
			_, err = stream.Add(item)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return in.end(ctx, blob, nil, fresh)
		case errors.Is(err, store.ErrComplete) && in.provider.left(hash):
			return in.restore(hash)
		case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrComplete):
			return in.drop()
		default:
			return in.end(ctx, blob, err, fresh)
		}
	}
}

// end completes a blob after its last item, or keeps what came before an error. With a wrong size what did verify may be of no use:
// it is dropped unless the last chunk, which proves the size, is among it.
func (in *intake) end(ctx context.Context, blob *landing.Blob, cause error, fresh bool) error {
	if cause == nil {
		err := blob.Complete(ctx)
		if err == nil || !errors.Is(err, store.ErrIncomplete) {
			return errors.Join(err, blob.Keep())
		}
	}
	if errors.Is(cause, bao.ErrHashMismatch) && fresh && !blob.Proven() {
		return errors.Join(cause, blob.Discard())
	}
	return errors.Join(cause, blob.Keep())
}
