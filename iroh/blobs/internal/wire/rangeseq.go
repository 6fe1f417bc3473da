package wire

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// ErrRequest says that a request cannot be decoded.
var ErrRequest = errors.New("blobs: malformed request")

// From is one entry of a [ChunkRangesSeq]: Ranges holds for the blob with this Index and for those after it, up to the
// next entry.
type From struct {
	Index  uint64
	Ranges bao.Ranges
}

// ChunkRangesSeq says which chunks of which blobs of a sequence are wanted. Index 0 is the blob that the request names,
// index i+1 child i of the hash sequence in it. Entries are in ascending order of Index; blobs before the first
// entry are not wanted. When the last entry's Ranges is not empty, the sequence goes on to the last child.
//
// On the wire: count varint, then for each entry the difference of its Index to that of the entry before, and a RangeSpec: count
// varint, then the widths of spans that are in turn not wanted and wanted, beginning at chunk 0; with an odd count
// the last span has no end. The canonical form, which iroh-blobs demands since 0.104, has no empty span after the first, no
// two entries with the same index and none equal to the one before (empty before the first). [ChunkRangesSeq.Append]
// writes it; [ParseChunkRangesSeq] also reads other forms, as older peers may send them.
type ChunkRangesSeq []From

// All iterates over the index and the ranges of every wanted blob in ascending order; for an infinite sequence it ends only
// with the caller (or after index 2^64-1).
func (s ChunkRangesSeq) All() iter.Seq2[uint64, bao.Ranges] {
	return func(yield func(uint64, bao.Ranges) bool) {
		for i, entry := range s {
			if entry.Ranges.IsEmpty() {
				continue
			}
			end := uint64(math.MaxUint64)
			if i+1 < len(s) {
				end = s[i+1].Index
			}
			for index := entry.Index; index < end; index++ {
				if !yield(index, entry.Ranges) {
					return
				}
			}
		}
	}
}

// IsInfinite tells whether the sequence has no end of its own.
func (s ChunkRangesSeq) IsInfinite() bool {
	return !s.last().IsEmpty()
}

// Add wants ranges of the blob at index, which must be higher than those before. Build a finite sequence by calls
// to Add and Append it: the canonical form follows by itself.
func (s ChunkRangesSeq) Add(index uint64, ranges bao.Ranges) ChunkRangesSeq {
	if n := len(s); n > 0 && s[n-1].Index == index {
		s = s[:n-1]
	}
	if !s.last().Equal(ranges) {
		s = append(s, From{index, ranges})
	}
	return append(s, From{index + 1, nil})
}

// Append appends the canonical encoding to b. Ranges must be valid ([bao.Ranges.Valid]).
func (s ChunkRangesSeq) Append(b []byte) []byte {
	canonical := s.canonical()
	b = postcard.AppendUint(b, uint64(len(canonical)))
	var at uint64
	for _, entry := range canonical {
		b = postcard.AppendUint(b, entry.Index-at)
		at = entry.Index
		b = appendRangeSpec(b, entry.Ranges)
	}
	return b
}

// canonical drops entries that change nothing.
func (s ChunkRangesSeq) canonical() ChunkRangesSeq {
	out := make(ChunkRangesSeq, 0, len(s))
	for i, entry := range s {
		if i+1 < len(s) && s[i+1].Index == entry.Index || out.last().Equal(entry.Ranges) {
			continue
		}
		out = append(out, entry)
	}
	return out
}

func appendRangeSpec(b []byte, ranges bao.Ranges) []byte {
	b = postcard.AppendUint(b, uint64(len(ranges)))
	var at uint64
	for _, boundary := range ranges {
		b = postcard.AppendUint(b, boundary-at)
		at = boundary
	}
	return b
}

// ParseChunkRangesSeq reads a sequence from the front of r. It needs at most 16 bytes of memory for each byte read. The error
// wraps [ErrRequest].
func ParseChunkRangesSeq(r *postcard.Reader) (ChunkRangesSeq, error) {
	count := r.Count(2)
	s := make(ChunkRangesSeq, 0, count)
	var at uint64
	for range count {
		delta := r.U64()
		ranges, err := parseRangeSpec(r)
		if err != nil {
			return nil, err
		}
		if delta > math.MaxUint64-at {
			return nil, fmt.Errorf("%w: offsets exceed 64 bits", ErrRequest)
		}
		at += delta
		if n := len(s); n > 0 && s[n-1].Index == at {
			s = s[:n-1]
		}
		if !s.last().Equal(ranges) {
			s = append(s, From{at, ranges})
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: ranges: %w", ErrRequest, err)
	}
	return s, nil
}

// parseRangeSpec turns widths into boundaries. Spans of width 0 join their neighbours.
func parseRangeSpec(r *postcard.Reader) (bao.Ranges, error) {
	var ranges bao.Ranges
	count := r.Count(1)
	if count > 0 {
		ranges = make(bao.Ranges, 0, count)
	}
	var at uint64
	for range count {
		width := r.U64()
		if width > math.MaxUint64-at {
			return nil, fmt.Errorf("%w: spans exceed 64 bits", ErrRequest)
		}
		at += width
		if n := len(ranges); n > 0 && ranges[n-1] == at {
			ranges = ranges[:n-1]
			continue
		}
		ranges = append(ranges, at)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: spans: %w", ErrRequest, err)
	}
	return ranges, nil
}

// last is what holds after the last entry.
func (s ChunkRangesSeq) last() bao.Ranges {
	if len(s) == 0 {
		return nil
	}
	return s[len(s)-1].Ranges
}
