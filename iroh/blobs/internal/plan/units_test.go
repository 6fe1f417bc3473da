package plan

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func TestGroups(t *testing.T) {
	const size = 40*bao.ChunkSize - 1 // three groups, the last one shorter
	for name, c := range map[string]struct{ chunks, want bao.Ranges }{
		"nothing":              {nil, nil},
		"everything":           {bao.All(), bao.Span(0, 3)},
		"all but a chunk":      {bao.Ranges{0, 3, 4, 40}, bao.Span(1, 3)},
		"less than a group":    {bao.Span(1, 16), nil},
		"one group":            {bao.Span(15, 33), bao.Span(1, 2)},
		"the last":             {bao.Span(32, 40), bao.Span(2, 3)},
		"the last, not all":    {bao.Span(32, 39), nil},
		"beyond the end":       {bao.Ranges{0, 16, 32, 1 << 60}, bao.Ranges{0, 1, 2, 3}},
		"nothing but the rest": {bao.From(100), nil},
	} {
		if got := Groups(c.chunks, size); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfDistinct(rapid.Uint64Range(0, 200), rapid.ID[uint64]).Draw(t, "boundaries")
		slices.Sort(chunks)
		size := rapid.Uint64Range(1, 200*bao.ChunkSize).Draw(t, "size")
		got := Groups(chunks, size)
		if err := got.Valid(); err != nil {
			t.Fatal(err)
		}
		for unit := range (size + bao.GroupSize - 1) / bao.GroupSize {
			end := min((unit+1)*16, (size+bao.ChunkSize-1)/bao.ChunkSize)
			if whole := bao.Span(unit*16, end).Subtract(chunks).IsEmpty(); got.Contains(unit) != whole {
				t.Fatalf("group %d of %v in %d bytes: %t", unit, chunks, size, !whole)
			}
		}
	})
}
