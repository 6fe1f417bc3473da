package bao

import (
	"math"
	"math/bits"
)

// chunkCount returns how many chunks a blob has: at least one, at most 2^54.
func chunkCount(size uint64) uint64 {
	return max(1, size/ChunkSize+min(1, size%ChunkSize))
}

// groupCount returns how many chunk groups hold that many chunks, at least one.
func groupCount(chunks uint64) uint64 {
	return max(1, (chunks+groupChunks-1)/groupChunks)
}

// OutboardSize returns the length in bytes of the outboard of a blob of that
// size: 64 for each chunk group but the first.
func OutboardSize(size uint64) uint64 {
	return (groupCount(chunkCount(size)) - 1) * pairSize
}

// span is a subtree: the chunks from start to end-1 of a blob. For the right edge
// of the tree end is the blob's chunk count, not a rounded one.
type span struct{ start, end uint64 }

func (s span) chunks() uint64 { return s.end - s.start }

// split returns the children of a span of more than one chunk.
func (s span) split() (left, right span) {
	mid := s.start + 1<<(bits.Len64(s.chunks()-1)-1)
	return span{s.start, mid}, span{mid, s.end}
}

// bytes returns how many bytes of a blob of that size lie in the span.
func (s span) bytes(size uint64) uint64 {
	begin := s.start * ChunkSize
	if s.end == chunkCount(size) {
		return size - begin
	}
	return s.end*ChunkSize - begin
}

// pairs returns how many bytes of pairs the span has in the outboard.
func (s span) pairs() uint64 { return (groupCount(s.chunks()) - 1) * pairSize }

// rightPairs returns how far after a node's pair its right child's pairs begin.
func rightPairs(left span) uint64 { return pairSize + left.pairs() }

// pairOffset returns where the pairs of a subtree begin in the outboard of a blob
// of that many chunks.
func pairOffset(chunks uint64, want span) uint64 {
	at, offset := span{0, chunks}, uint64(0)
	for at != want {
		left, right := at.split()
		if want.start < right.start {
			at, offset = left, offset+pairSize
		} else {
			at, offset = right, offset+rightPairs(left)
		}
	}
	return offset
}

// coverage says how much of a subtree a query selects.
type coverage uint8

const (
	none coverage = iota
	some
	whole
)

// query walks over clamped boundaries. A pre-order walk visits subtrees by
// ascending start, so one index that only grows finds each subtree's part.
type query struct {
	bounds Ranges
	next   int // how many boundaries are at or before the last start asked for
}

// cover tells how much of the subtree is selected. Starts must not go back.
func (q *query) cover(s span) coverage {
	for q.next < len(q.bounds) && q.bounds[q.next] <= s.start {
		q.next++
	}
	switch {
	case q.next < len(q.bounds) && q.bounds[q.next] < s.end:
		return some
	case q.next%2 == 1:
		return whole
	}
	return none
}

// runEnd returns where the run of selected chunks that reaches the end of the
// span stops, or the end of the span if its last chunk is not selected. It must
// follow a call of cover with the same span.
func (q *query) runEnd(s span) uint64 {
	i := q.next
	for i < len(q.bounds) && q.bounds[i] < s.end {
		i++
	}
	switch {
	case i%2 == 0:
		return s.end
	case i == len(q.bounds):
		return math.MaxUint64
	}
	return q.bounds[i]
}

// isLeaf tells whether a subtree that is not left out is sent as data.
func (s span) isLeaf(c coverage) bool {
	return s.chunks() == 1 || c == whole && s.chunks() <= groupChunks
}

// EncodedSize returns the length in bytes of the encoding of the ranges of a blob
// of that size, without the size header. Its cost depends on the number of ranges
// and the depth of the tree, not on the size. Ranges that are not valid have no
// encoding: 0. A length beyond 2^64-1 is given as 2^64-1.
func EncodedSize(size uint64, ranges Ranges) uint64 {
	if ranges.Valid() != nil {
		return 0
	}
	q := query{bounds: ranges.Clamp(size)}
	return encodedSize(&q, span{0, chunkCount(size)}, size)
}

func encodedSize(q *query, s span, size uint64) uint64 {
	c := q.cover(s)
	switch {
	case c == none:
		return 0
	case s.isLeaf(c):
		return s.bytes(size)
	case c == whole:
		return saturate(s.bytes(size), s.pairs())
	}
	left, right := s.split()
	n := encodedSize(q, left, size)
	return saturate(saturate(n, encodedSize(q, right, size)), pairSize)
}

func saturate(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}
