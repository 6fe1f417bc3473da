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
