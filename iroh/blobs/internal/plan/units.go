package plan

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Distinct returns the index of the first place of every hash, ascending.
func Distinct(hashes []bao.Hash) []uint32 {
	order := make([]uint32, len(hashes))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(bytes.Compare(hashes[a][:], hashes[b][:]), cmp.Compare(a, b))
	})
	order = slices.CompactFunc(order, func(a, b uint32) bool { return hashes[a] == hashes[b] })
	slices.Sort(order)
	return order
}

// Groups returns, as units, the groups of a blob of which all chunks are in a set.
func Groups(chunks bao.Ranges, size uint64) bao.Ranges {
	const perGroup = bao.GroupSize / bao.ChunkSize
	end := (size + bao.ChunkSize - 1) / bao.ChunkSize
	chunks = chunks.Intersect(bao.Span(0, end))
	var units bao.Ranges
	for i := 0; i+1 < len(chunks); i += 2 {
		first, after := (chunks[i]+perGroup-1)/perGroup, chunks[i+1]/perGroup
		if chunks[i+1] == end {
			after = (end + perGroup - 1) / perGroup
		}
		if first < after {
			units = append(units, first, after)
		}
	}
	return units
}

// Each lists the units of a set that has an end.
func Each(r bao.Ranges) (units []uint64) {
	for i := 0; i+1 < len(r); i += 2 {
		for u := r[i]; u < r[i+1]; u++ {
			units = append(units, u)
		}
	}
	return units
}
