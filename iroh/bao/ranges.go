package bao

import (
	"math"
	"slices"
	"sort"
)

// Ranges is a set of chunk numbers, written as ascending boundaries: start, end,
// start, end, and so on, ends exclusive. An odd count means that the last range
// has no end. nil is the empty set. The set operations leave their operands alone;
// they need operands that are [Ranges.Valid].
type Ranges []uint64

// All returns the set of all chunks.
func All() Ranges { return Ranges{0} }

// From returns the set of the chunk start and all that follow.
func From(start uint64) Ranges { return Ranges{start} }

// Span returns the set of the chunks start to end-1; it is empty if end <= start.
func Span(start, end uint64) Ranges {
	if end <= start {
		return nil
	}
	return Ranges{start, end}
}

// LastChunk returns the query that every size clamps to its last chunk, the
// proof of a blob's size.
func LastChunk() Ranges { return Ranges{math.MaxUint64} }

// BytesSpan returns the set of the chunks that hold any of the n bytes from off.
func BytesSpan(off, n uint64) Ranges {
	if n == 0 {
		return nil
	}
	last := off + (n - 1)
	if last < off {
		return From(off / ChunkSize)
	}
	return Span(off/ChunkSize, last/ChunkSize+1)
}

// Valid returns [ErrRanges] unless the boundaries ascend strictly.
func (r Ranges) Valid() error {
	for i := 1; i < len(r); i++ {
		if r[i] <= r[i-1] {
			return ErrRanges
		}
	}
	return nil
}

// IsEmpty reports whether the set has no chunk.
func (r Ranges) IsEmpty() bool { return len(r) == 0 }

// Contains reports whether the chunk is in the set.
func (r Ranges) Contains(chunk uint64) bool {
	return sort.Search(len(r), func(i int) bool { return r[i] > chunk })%2 == 1
}

// Equal reports whether both are the same set.
func (r Ranges) Equal(o Ranges) bool { return slices.Equal(r, o) }

// Union returns the chunks that are in r or in o.
func (r Ranges) Union(o Ranges) Ranges {
	return r.combine(o, func(a, b bool) bool { return a || b })
}

// Intersect returns the chunks that are in both r and o.
func (r Ranges) Intersect(o Ranges) Ranges {
	return r.combine(o, func(a, b bool) bool { return a && b })
}

// Subtract returns the chunks of r that are not in o.
func (r Ranges) Subtract(o Ranges) Ranges {
	return r.combine(o, func(a, b bool) bool { return a && !b })
}

// Complement returns the chunks that are not in r.
func (r Ranges) Complement() Ranges { return All().Subtract(r) }

// combine sweeps over both lists and writes a boundary wherever in changes.
// in(false, false) is false.
func (r Ranges) combine(o Ranges, in func(a, b bool) bool) Ranges {
	var out Ranges
	i, j := 0, 0
	for i < len(r) || j < len(o) {
		var at uint64
		switch {
		case j == len(o) || i < len(r) && r[i] < o[j]:
			at = r[i]
			i++
		case i == len(r) || o[j] < r[i]:
			at = o[j]
			j++
		default:
			at = r[i]
			i++
			j++
		}
		if in(i%2 == 1, j%2 == 1) != (len(out)%2 == 1) {
			out = append(out, at)
		}
	}
	return out
}

// Groups returns the smallest set of whole chunk groups that holds the set.
func (r Ranges) Groups() Ranges {
	var out Ranges
	for i, b := range r {
		if i%2 == 0 {
			b -= b % groupChunks
			if n := len(out); n > 0 && out[n-1] >= b {
				out = out[:n-1] // the range goes on
				continue
			}
		} else if b%groupChunks != 0 {
			if b > math.MaxUint64-groupChunks {
				break // no boundary above it can be written
			}
			b += groupChunks - b%groupChunks
		}
		out = append(out, b)
	}
	return out
}

// Bytes returns how many bytes of a blob of that size the query selects, after
// [Ranges.Clamp].
func (r Ranges) Bytes(size uint64) uint64 {
	var n uint64
	c := r.Clamp(size)
	for i := 0; i < len(c); i += 2 {
		s := span{c[i], chunkCount(size)}
		if i+1 < len(c) {
			s.end = c[i+1]
		}
		n += s.bytes(size)
	}
	return n
}

// Clamp fits a query to a blob of size bytes, as both ends of a transfer do:
// chunks beyond the end are dropped, and if the query reaches or names anything
// at or beyond the last chunk, the last chunk is selected. Whenever the last
// chunk is in the result, the result has no end, so that 0..7 of a blob of 7
// chunks becomes 0.., and every start in the result is a chunk of the blob. The
// result may share r's memory.
func (r Ranges) Clamp(size uint64) Ranges {
	last := chunkCount(size) - 1
	i := sort.Search(len(r), func(i int) bool { return r[i] >= last })
	switch {
	case i%2 == 1 && i == len(r)-1 && r[i] == last:
		return r[: i+1 : i+1] // ends just before the last chunk
	case i%2 == 1:
		return r[:i:i] // a range covers the last chunk, or ends before it and another follows
	case i == len(r):
		return r // wholly before the last chunk
	case r[i] == last:
		return r[: i+1 : i+1]
	}
	out := make(Ranges, i+1) // something beyond the end stands for the last chunk
	copy(out, r[:i])
	out[i] = last
	return out
}
