package blobs

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/quic-go/quic-go"
)

// Opener is what a requester uses of a connection; *iroh.Conn has it.
type Opener interface {
	OpenStream(ctx context.Context) (*quic.Stream, error)
}

// Response is the answer to one [GetRequest] or [GetManyRequest], read blob by blob:
//
//	for index, ranges, ok := r.Next(); ok; index, ranges, ok = r.Next() {
//		size, err := r.Open(hash) // of the blob with that index
//		for item, err := r.Item(); err != io.EOF; item, err = r.Item() {
//			// verified
//		}
//	}
//
// It ends successfully with the last item; what a provider sends after it is not read. Not for concurrent use.
type Response struct {
	ctx    context.Context // of the request; errors are sorted by it
	stop   func() bool
	stream *quic.Stream
	reader *bufio.Reader
	limit  *stallReader
	wanted ChunkRangesSeq
	many   uint64 // blobs of a GetMany; no end otherwise

	entry   int    // of wanted
	index   uint64 // of the blob to come
	hash    bao.Hash
	ranges  bao.Ranges
	decoder bao.Decoder
	open    bool  // decoder is at work
	err     error // kept
}

// Get sends a request over a new stream of conn. When ctx ends, so does the response. stall is how long to wait for a
// next byte before [ErrStalled]; 0 is 30 s. The caller closes the response.
func Get(ctx context.Context, conn Opener, request GetRequest, stall time.Duration) (*Response, error) {
	r := &Response{hash: request.Hash, wanted: request.Ranges, many: math.MaxUint64}
	return r.ask(ctx, conn, request, stall)
}

// GetMany is [Get] for blobs that the request names itself: the index is that of the hash in the request. A provider that lacks one of
// them resets the stream, and what was on its way is lost. Providers up to 0.35 do not know the request.
func GetMany(ctx context.Context, conn Opener, request GetManyRequest, stall time.Duration) (*Response, error) {
	r := &Response{wanted: request.Ranges, many: uint64(len(request.Hashes))}
	return r.ask(ctx, conn, request, stall)
}

// ask sends the request and returns r, which is the answer to it.
func (r *Response) ask(ctx context.Context, conn Opener, request Request, stall time.Duration) (*Response, error) {
	if stall == 0 {
		stall = defaultIdle
	}
	encoded := request.Append(nil)
	if len(encoded) > 1+wire.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, providers take %d", ErrRequest, len(encoded)-1, wire.MaxRequest)
	}
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, receiveError(ctx, err, true, false)
	}
	r.ctx, r.stream, r.limit = ctx, stream, newStallReader(stream, stall)
	r.reader = bufio.NewReaderSize(r.limit, receiveBuffer)
	r.stop = context.AfterFunc(ctx, r.cancel)
	if err := r.send(encoded, stall); err != nil {
		r.Close()
		return nil, receiveError(ctx, err, true, false)
	}
	return r, nil
}

func (r *Response) send(encoded []byte, stall time.Duration) error {
	if err := r.stream.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return err
	}
	return finish(r.stream, encoded)
}

// finish writes a request and ends our side of the stream. A provider that has stopped it meanwhile has read what it wanted, and its
// answer says what is wrong; quic-go's error of closing such a stream does not.
func finish(stream *quic.Stream, request []byte) error {
	if _, err := stream.Write(request); err != nil {
		return err
	}
	_ = stream.Close()
	return nil
}

func (r *Response) cancel() {
	r.stream.CancelRead(CodeDropped)
	r.stream.CancelWrite(CodeDropped)
}

// Close gives the stream back; the provider stops sending. It may be called at any time, and again.
func (r *Response) Close() {
	r.stop()
	r.limit.stop()
	r.cancel()
	if r.err == nil {
		r.err = fmt.Errorf("blobs: %s: response is closed", r.hash.ShortString())
	}
}

// Received returns how many bytes of the answer were read so far.
func (r *Response) Received() uint64 { return r.limit.received }

// Next moves to the next wanted blob and returns its index and the ranges that come. It reads nothing. Past
// the last wanted blob ok is false; of an infinite sequence only the caller knows the last.
func (r *Response) Next() (index uint64, ranges bao.Ranges, ok bool) {
	r.open = false
	seq := r.wanted
	for ; r.entry < len(seq); r.entry++ {
		entry := seq[r.entry]
		r.index = max(r.index, entry.Index)
		if entry.Ranges.IsEmpty() || r.entry+1 < len(seq) && r.index >= seq[r.entry+1].Index {
			continue
		}
		if r.index >= r.many {
			return 0, nil, false
		}
		r.ranges = entry.Ranges
		r.index++
		return r.index - 1, r.ranges, true
	}
	return 0, nil, false
}

// Open reads the size of the blob that Next announced, which must be the one with this hash. The size is the provider's
// claim; it is proven when the last chunk was verified.
func (r *Response) Open(hash bao.Hash) (size uint64, err error) {
	if r.err != nil {
		return 0, r.err
	}
	r.hash = hash
	var header [8]byte
	if n, err := io.ReadFull(r.reader, header[:]); err != nil {
		return 0, r.fail(err, n == 0)
	}
	size = binary.LittleEndian.Uint64(header[:])
	r.decoder.Reset(r.reader, hash, size, r.ranges)
	r.open = true
	return size, nil
}

// Item returns the next verified pair or leaf of the blob, io.EOF after the last. The item is valid until the next call.
// After any other error the response is at its end and repeats it.
func (r *Response) Item() (bao.Item, error) {
	if r.err != nil {
		return bao.Item{}, r.err
	}
	if !r.open {
		return bao.Item{}, io.EOF
	}
	item, err := r.decoder.Next()
	if err == nil {
		return item, nil
	}
	if errors.Is(err, io.EOF) {
		r.open = false
		return bao.Item{}, io.EOF
	}
	return bao.Item{}, r.fail(err, false)
}

// fail ends the response.
func (r *Response) fail(err error, atHeader bool) error {
	err = receiveError(r.ctx, err, r.limit.received == 0, atHeader)
	r.err = fmt.Errorf("blobs: %s: %w", r.hash.ShortString(), err)
	return r.err
}

// stallReader reads from a stream, counts, and fails with [ErrStalled] when one read has got nothing for too long. A timer watches: a
// deadline for each read would cost a timer each.
type stallReader struct {
	stream   *quic.Stream
	received uint64

	reads   atomic.Uint64 // odd while one is under way
	stalled atomic.Bool
	closed  atomic.Bool
	timer   *time.Timer
	tick    time.Duration
	seen    uint64 // reads at the last tick
	idle    int    // ticks since
}

// stallTicks is how often a read is looked at before it is given up.
const stallTicks = 16

func newStallReader(stream *quic.Stream, stall time.Duration) *stallReader {
	r := &stallReader{stream: stream, tick: max(stall/stallTicks, time.Millisecond)}
	r.timer = time.AfterFunc(time.Hour, r.watch)
	r.timer.Reset(r.tick) // not before r.timer is set
	return r
}

func (r *stallReader) stop() {
	r.closed.Store(true) // for a watch that is under way
	r.timer.Stop()
}

func (r *stallReader) watch() {
	if r.closed.Load() {
		return
	}
	reads := r.reads.Load()
	if reads%2 == 0 || reads != r.seen {
		r.seen, r.idle = reads, 0
	} else if r.idle++; r.idle >= stallTicks {
		r.stalled.Store(true)
		r.stream.CancelRead(CodeDropped)
		return
	}
	r.timer.Reset(r.tick)
}

func (r *stallReader) Read(b []byte) (int, error) {
	r.reads.Add(1)
	n, err := r.stream.Read(b)
	r.reads.Add(1)
	r.received += uint64(n)
	if err != nil && r.stalled.Load() {
		err = ErrStalled
	}
	return n, err
}
