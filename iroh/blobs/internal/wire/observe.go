package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// ErrObserveItem says that an item of an observation cannot be decoded.
var ErrObserveItem = errors.New("blobs: malformed observation")

// MaxObserveItem is the most bytes of one item, which iroh-blobs bounds as it does requests.
const MaxObserveItem = MaxRequest

// MaxObserveBoundaries is how many boundaries one item holds at most that we write: ten bytes each at the longest, so that the item
// stays below [MaxObserveItem]. What is more goes into the next item.
const MaxObserveBoundaries = 64 << 10

// ObserveItem is one item of the answer to Observe: first what the provider has of the blob, then what changed.
//
//	length varint | size varint | count varint | boundaries, varints, of the chunks that are there
//
// Boundaries are absolute and ascend; the ranges of a RangeSpec have widths instead. Size is 0 when nothing is known of the blob.
type ObserveItem struct {
	Size   uint64
	Ranges bao.Ranges
}

// Append appends the encoding, with its length in front.
func (i ObserveItem) Append(b []byte) []byte {
	body := postcard.AppendUint(nil, i.Size)
	body = postcard.AppendUint(body, uint64(len(i.Ranges)))
	for _, boundary := range i.Ranges {
		body = postcard.AppendUint(body, boundary)
	}
	return postcard.AppendBytes(b, body)
}

// Split cuts an item into several that mean the same together, none with more than [MaxObserveBoundaries].
func (i ObserveItem) Split() (items []ObserveItem) {
	for len(i.Ranges) > MaxObserveBoundaries {
		items = append(items, ObserveItem{i.Size, i.Ranges[:MaxObserveBoundaries]})
		i.Ranges = i.Ranges[MaxObserveBoundaries:]
	}
	return append(items, i)
}

// ParseObserveItem reads an item without its length. Bytes after its end are ignored. The error wraps [ErrObserveItem].
func ParseObserveItem(body []byte) (ObserveItem, error) {
	r := postcard.NewReader(body)
	item := ObserveItem{Size: r.U64()}
	if count := r.Count(1); count > 0 {
		item.Ranges = make(bao.Ranges, count)
	}
	for i := range item.Ranges {
		item.Ranges[i] = r.U64()
	}
	if err := r.Err(); err != nil {
		return ObserveItem{}, fmt.Errorf("%w: %w", ErrObserveItem, err)
	}
	if err := item.Ranges.Valid(); err != nil {
		return ObserveItem{}, fmt.Errorf("%w: %w", ErrObserveItem, err)
	}
	return item, nil
}

// ReadObserveItem reads the next item of a stream; io.EOF when there is none.
func ReadObserveItem(r *bufio.Reader) (ObserveItem, error) {
	body, err := readPrefixed(r, MaxObserveItem)
	switch {
	case errors.Is(err, errLength):
		return ObserveItem{}, fmt.Errorf("%w: %w", ErrObserveItem, err)
	case err != nil:
		return ObserveItem{}, err
	}
	return ParseObserveItem(body)
}

// errLength says that a length is no varint, or beyond the limit.
var errLength = errors.New("length is out of bounds")

// readPrefixed reads a length and so many bytes. Memory grows with what arrives, not with what is claimed. io.EOF means that nothing
// came.
func readPrefixed(r *bufio.Reader, limit uint64) ([]byte, error) {
	return readHeld(r, limit, func(uint64) error { return nil })
}

// readHeld is readPrefixed that asks hold about the length first.
func readHeld(r *bufio.Reader, limit uint64, hold func(uint64) error) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	length, err := postcard.ReadUint(r)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, postcard.ErrVarint), err == nil && length > limit:
		return nil, errLength
	case err != nil:
		return nil, err
	}
	if err := hold(length); err != nil {
		return nil, err
	}
	body := make([]byte, 0, min(length, 4<<10))
	for uint64(len(body)) < length {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(length, uint64(2*cap(body)))), body...)
		}
		n, err := io.ReadFull(r, body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}
